// Following an entry's arrivals from a kernel of your own, on another stream: work on a tile of 128 rows
// as soon as it is complete. Self-contained; NVRTC and nvcc both take it.
#pragma once
namespace fusco {

// What `Arrivals::on_device` gives for one rank. All words are u32 in device memory.
struct Arrivals {
    const unsigned* epoch;     // launches of the entry whose counters and tables may be read
    const unsigned* counters;  // rows that have arrived, by tile slot
    const unsigned* live;      // live rows, by global group; null: tiles are rows of positions
    const unsigned* base;      // first row in the rank's buffer, by global group
    int first_group, groups;   // of this rank: group i is first_group + i * apart
    int apart;
};

__device__ __forceinline__ unsigned load_acquire(const unsigned* p) {
    unsigned v;
    asm volatile("ld.acquire.sys.global.u32 %0, [%1];" : "=r"(v) : "l"(p) : "memory");
    return v;
}

// Until launch number `launch` (1 is the plan's first) is open. One thread; then __syncthreads().
__device__ __forceinline__ void wait_open(const Arrivals& a, unsigned launch) {
    while (int(load_acquire(a.epoch) - launch) < 0) __nanosleep(100);
}

// Until all `rows` rows of a tile are there. One thread; then __syncthreads().
__device__ __forceinline__ void wait_tile(const Arrivals& a, int slot, unsigned rows) {
    while (load_acquire(a.counters + slot) < rows) __nanosleep(100);
}

}  // namespace fusco
