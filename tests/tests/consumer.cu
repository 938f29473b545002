// z = 2 y, tile by tile as dispatch delivers them: a stand-in for an expert's GEMM.
extern "C" __global__ void scale_tiles(
    const fusco::Arrivals arrivals, unsigned launch, const unsigned short* y, unsigned short* z, int hidden, unsigned* seen) {
    if (threadIdx.x == 0) fusco::wait_open(arrivals, launch);
    __syncthreads();
    unsigned turn = 0;
    bool first = true;
    for (unsigned tile = 0, more = 1; more; ++tile) {
        more = 0;
        for (int i = 0; i < arrivals.groups; ++i) {
            const int g = arrivals.first_group + i * arrivals.apart;
            const unsigned live = arrivals.live[g];
            if (tile * 128 >= live) continue;
            more = 1;
            if (turn++ % gridDim.x != blockIdx.x) continue;
            const unsigned row = arrivals.base[g] + tile * 128, rows = min(live - tile * 128, 128u);
            if (threadIdx.x == 0) fusco::wait_tile(arrivals, row / 128, rows);
            __syncthreads();
            if (first && threadIdx.x == 0) {
                // How much of the rank had arrived when this CTA got its first tile.
                unsigned arrived = 0, all = 0;
                for (int i = 0; i < arrivals.groups; ++i) {
                    const int e = arrivals.first_group + i * arrivals.apart;
                    all += arrivals.live[e];
                    for (unsigned j = 0; j * 128 < arrivals.live[e]; ++j)
                        arrived += fusco::load_acquire(arrivals.counters + arrivals.base[e] / 128 + j);
                }
                seen[2 * blockIdx.x] = arrived;
                seen[2 * blockIdx.x + 1] = all;
            }
            first = false;
            for (unsigned long long i = threadIdx.x; i < 1ull * rows * hidden; i += blockDim.x) {
                const unsigned long long at = 1ull * row * hidden + i;
                z[at] = __float_as_uint(2 * __uint_as_float(unsigned(y[at]) << 16)) >> 16;
            }
        }
    }
}
