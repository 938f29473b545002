// Whole rows between global and shared memory by the copy engine: addresses and sizes are multiples of 16.
// An mbarrier is a shared word whose parity flips once so many have arrived and all bytes that they expect are there.
__device__ __forceinline__ u32 shared_address(const void* p) { return u32(__cvta_generic_to_shared(p)); }
__device__ __forceinline__ void init_mbarrier(u64* word, u32 arrivals) {
    asm volatile("mbarrier.init.shared.b64 [%0], %1;" :: "r"(shared_address(word)), "r"(arrivals) : "memory");
}
__device__ __forceinline__ void arrive_mbarrier(u64* word) {
    asm volatile("mbarrier.arrive.shared.b64 _, [%0];" :: "r"(shared_address(word)) : "memory");
}
// Until the phase of this parity is over; a new word is in phase 0, after one of parity 1.
__device__ __forceinline__ void wait_mbarrier(u64* word, u32 parity) {
    asm volatile("{\n.reg .pred done;\nWAIT:\nmbarrier.try_wait.parity.shared.b64 done, [%0], %1;\n@!done bra WAIT;\n}"
                 :: "r"(shared_address(word)), "r"(parity) : "memory");
}
__device__ __forceinline__ bool test_mbarrier(u64* word, u32 parity) {
    u32 done;
    asm volatile("{\n.reg .pred p;\nmbarrier.test_wait.parity.shared.b64 p, [%1], %2;\nselp.u32 %0, 1, 0, p;\n}"
                 : "=r"(done) : "r"(shared_address(word)), "r"(parity) : "memory");
    return done;
}
// The copy engine sees what was initialised or written in shared memory.
__device__ __forceinline__ void fence_bulk() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }
// The copy engine sees what a peer's copy engine wrote in global memory and this thread knows of.
__device__ __forceinline__ void fence_bulk_global() { asm volatile("fence.proxy.async.global;" ::: "memory"); }
__device__ __forceinline__ void expect_bulk(u64* full, u32 bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared.b64 _, [%0], %1;" :: "r"(shared_address(full)), "r"(bytes) : "memory");
}
__device__ __forceinline__ void load_bulk(void* to, const void* from, u32 bytes, u64* full) {
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];"
                 :: "r"(shared_address(to)), "l"(from), "r"(bytes), "r"(shared_address(full)) : "memory");
}
__device__ __forceinline__ void store_bulk(void* to, const void* from, u32 bytes) {
    asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;"
                 :: "l"(to), "r"(shared_address(from)), "r"(bytes) : "memory");
}
// More than L2 holds: its lines are the first to leave.
__device__ __forceinline__ void stream_bulk(void* to, const void* from, u32 bytes) {
    u64 policy;
    asm volatile("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
    asm volatile("cp.async.bulk.global.shared::cta.bulk_group.L2::cache_hint [%0], [%1], %2, %3;"
                 :: "l"(to), "r"(shared_address(from)), "r"(bytes), "l"(policy) : "memory");
}
__device__ __forceinline__ void commit_bulk() { asm volatile("cp.async.bulk.commit_group;" ::: "memory"); }
// This thread's stores have read their rows, but for those of the last LATER commits.
template <int LATER> __device__ __forceinline__ void wait_bulk_read() { asm volatile("cp.async.bulk.wait_group.read %0;" :: "n"(LATER) : "memory"); }
// They are written.
template <int LATER> __device__ __forceinline__ void wait_bulk() { asm volatile("cp.async.bulk.wait_group %0;" :: "n"(LATER) : "memory"); }
