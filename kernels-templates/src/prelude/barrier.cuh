// All of CTAS CTAs: the barrier of cooperative groups, for a part of the grid. The top bit flips when the
// last one has arrived, so the word needs no reset.
template <i32 CTAS> __device__ __forceinline__ void barrier(u32* word, i32 cta, const Launch& launch, i32 me) {
    __syncthreads();
    if (CTAS == 1) return;
    if (threadIdx.x == 0) {
        fence_peers();
        const u32 old = atomicAdd(word, cta == 0 ? 0x80000000u - (CTAS - 1) : 1u);
        const u64 deadline = now_ns() + launch.timeout_ns;
        while (((old ^ load_acquire(word)) & 0x80000000u) == 0) {
            if (now_ns() > deadline) { fail(launch, 908, me, me, -1, CTAS, old & 0x7fffffffu); break; }
        }
    }
    __syncthreads();
}
