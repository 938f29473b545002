__device__ __forceinline__ u32 load_acquire(const u32* p) {
    u32 v; asm volatile("ld.acquire." SCOPE ".global.u32 %0, [%1];" : "=r"(v) : "l"(p) : "memory"); return v;
}
__device__ __forceinline__ void store_release(u32* p, u32 v) {
    asm volatile("st.release." SCOPE ".global.u32 [%0], %1;" :: "l"(p), "r"(v) : "memory");
}
// Of what only this device is told.
__device__ __forceinline__ void fence_device() { asm volatile("fence.acq_rel.gpu;" ::: "memory"); }
__device__ __forceinline__ void fence_peers() { asm volatile("fence.acq_rel." SCOPE ";" ::: "memory"); }
// The writes it publishes were fenced before.
__device__ __forceinline__ void add_peer(u32* p, u32 v) {
    asm volatile("red.relaxed." SCOPE ".global.add.u32 [%0], %1;" :: "l"(p), "r"(v) : "memory");
}
// One word that says all there is to say: nothing else is published.
__device__ __forceinline__ void post_peer(u32* p, u32 v) {
    asm volatile("st.relaxed." SCOPE ".global.u32 [%0], %1;" :: "l"(p), "r"(v) : "memory");
}
// It publishes what this thread wrote, and what others did that it waited for.
__device__ __forceinline__ void publish_peer(u32* p, u32 v) {
    asm volatile("red.release." SCOPE ".global.add.u32 [%0], %1;" :: "l"(p), "r"(v) : "memory");
}
__device__ __forceinline__ u64 now_ns() { u64 t; asm volatile("mov.u64 %0, %globaltimer;" : "=l"(t)); return t; }

// Spins until the counter has reached `expected`, in modular order. Reports a timeout, goes on, and says so.
__device__ __forceinline__ bool wait_for(const u32* counter, u32 expected, const Launch& launch, i32 me, i32 peer, i32 slot) {
    u32 seen = load_acquire(counter);
    if (i32(seen - expected) >= 0) return true;
    const u64 deadline = now_ns() + launch.timeout_ns;
    do {
        seen = load_acquire(counter);
        if (i32(seen - expected) >= 0) return true;
    } while (now_ns() < deadline);
    fail(launch, 908, me, peer, slot, expected, seen);
    return false;
}
