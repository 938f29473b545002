// from[m][g] = live rows of group g that member m sends.
template <class R, class P> __device__ void totals_from(P* plan, u32* from, u32 epoch) {
    for (i32 g = threadIdx.x; g < R::GROUPS; g += blockDim.x) {
        for (i32 m = 0; m < R::MEMBERS; ++m) from[m * R::GROUPS + g] = 0;
        u32 run = 0;
        for (i32 n = 0; n < R::BINS / R::GROUPS * R::MEMBERS; ++n) {
            const i32 m = R::nth_member(n), b = R::nth_outer(n) * R::GROUPS + g;
            const u32 count = plan->counts[epoch & 1][m][b];
            from[m * R::GROUPS + g] += min(run + count, R::CAP) - min(run, R::CAP);
            run += count;
        }
    }
}
