// Exclusive sum over the CTA's threads; `all` is the total.
__device__ __forceinline__ u32 scan_block(u32 v, u32& all) {
    __shared__ u32 sums[32];
    const i32 lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    u32 inclusive = v;
    for (i32 d = 1; d < 32; d *= 2) {
        const u32 below = __shfl_up_sync(ALL, inclusive, d);
        if (lane >= d) inclusive += below;
    }
    __syncthreads();
    if (lane == 31) sums[warp] = inclusive;
    __syncthreads();
    u32 before = 0;
    all = 0;
    for (i32 w = 0; w < warps; ++w) {
        if (w < warp) before += sums[w];
        all += sums[w];
    }
    return before + inclusive - v;
}
