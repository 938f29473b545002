// Groups of a route whose owners the launch that plans reads: checked before anything is counted, then tables of the
// plan.

// Groups by the owners that a plan has read: all of them, those of member 0 first, and where each member's begin.
struct Dealt {
    const u32* groups; const u32* first;
    __device__ __forceinline__ i32 size(i32 m) const { return first[m + 1] - first[m]; }
    __device__ __forceinline__ i32 group(i32 m, i32 i) const { return groups[first[m] + i]; }
};

// Whether each owner that a launch reads is a member; the launch fails otherwise. All threads of a CTA ask.
template <class R, class O> __device__ __forceinline__ bool owners_fit(const O& owner, const Launch& launch, i32 me, i32 tensor) {
    bool fit = true;
    for (i32 g = threadIdx.x; g < R::GROUPS; g += blockDim.x) fit &= valid(owner(g), R::MEMBERS, launch, me, tensor);
    return __syncthreads_and(fit);
}

// The tables of a plan whose owners a launch reads, by one CTA: a warp counts a member's groups, ascending. An owner
// that is no member, which has failed the launch, counts as member 0.
template <class R, class O>
__device__ void deal_groups(const O& owner, u32* owners, u32* groups, u32* first, u32* positions) {
    const i32 lane = threadIdx.x % 32;
    for (i32 m = threadIdx.x / 32; m < R::MEMBERS; m += blockDim.x / 32) {
        u32 count = 0;
        for (i32 begin = 0; begin < R::GROUPS; begin += 32) {
            const i32 g = begin + lane;
            const i64 named = g < R::GROUPS ? owner(g) : -1;
            const bool mine = g < R::GROUPS && (named == m || (m == 0 && (named < 0 || named >= R::MEMBERS)));
            const u32 all = __ballot_sync(ALL, mine);
            if (mine) {
                owners[g] = m;
                positions[g] = count + __popc(all & ((1u << lane) - 1));
            }
            count += __popc(all);
        }
        if (lane == 0) first[m + 1] = count;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        first[0] = 0;
        for (i32 m = 0; m < R::MEMBERS; ++m) first[m + 1] += first[m];
    }
    __syncthreads();
    for (i32 g = threadIdx.x; g < R::GROUPS; g += blockDim.x) groups[first[owners[g]] + positions[g]] = g;
    __syncthreads();
}
