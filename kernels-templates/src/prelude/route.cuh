// Planning a route: count, exchange, scan, stable slots. A warp owns a contiguous range of the rank's
// tuples in slot order, so ranks within a range follow from lane order and no atomic decides an order.
struct Range { i32 begin; i32 end; };

// The tuples of one warp: CTA ranges are whole multiples of the warps' ranges.
template <class R> __device__ __forceinline__ Range own_range(i32 positions, i32 cta) {
    const i32 total = positions * R::FAN;
    const i32 warps = R::CTAS * (blockDim.x / 32);
    const i32 each = (total + warps * 32 - 1) / (warps * 32) * 32;
    const i32 begin = min((cta * i32(blockDim.x / 32) + i32(threadIdx.x / 32)) * each, total);
    return {begin, min(begin + each, total)};
}

// The tuple's group, or -1 if it names none, or if it is not known who owns the groups. `index` reads what names the group of tuple `at` of [position][choice].
template <class R, class I> __device__ __forceinline__ i32 group_of(const I& index, i32 at, const Launch& launch, i32 me, bool known) {
    if (!known) return -1;
    const i64 value = index(at);
    if (value >= 0 && value < R::GROUPS) return i32(value);
    if (!R::HAS_NONE || value != R::NONE) fail(launch, 906, me, at / R::FAN, at % R::FAN, R::GROUPS, value);
    else if (R::TRAP_NONE) fail(launch, 403, me, at / R::FAN, at % R::FAN, R::GROUPS, value);
    return -1;
}

// Whether an earlier tuple of the position names the same group: `assume distinct` is false. Memory is sized by it.
template <class R, class I> __device__ __forceinline__ bool repeated(const I& index, i32 at) {
    bool same = false;
    for (i32 i = at / R::FAN * R::FAN; i < at; ++i) same |= index(i) == index(at);
    return same;
}

template <class R> __device__ __forceinline__ i32 bin_of(i32 group, i32 i, i32 positions) {
    return group < 0 ? -1 : R::outer(i, positions) * R::GROUPS + group;
}

// hist[cta] = this CTA's tuples by bin. Shared: one histogram a warp, left as exclusive prefixes over the warps.
template <class R, class P, class I>
__device__ void count(P* plan, u32* shared, const I& index, i32 positions, i32 cta, const Launch& launch, i32 me, bool known = true) {
    const i32 lane = threadIdx.x % 32, warps = blockDim.x / 32;
    for (i32 b = threadIdx.x; b < warps * R::BINS; b += blockDim.x) shared[b] = 0;
    __syncthreads();
    u32* hist = shared + threadIdx.x / 32 * R::BINS;
    const Range own = own_range<R>(positions, cta);
    for (i32 first = own.begin; first < own.end; first += 32) {
        const i32 i = first + lane;
        i32 bin = -1;
        if (i < own.end) {
            const i32 at = R::tuple(i, positions);
            const i32 group = group_of<R>(index, at, launch, me, known);
            if (R::DISTINCT && group >= 0 && repeated<R>(index, at)) fail(launch, 907, me, at / R::FAN, at % R::FAN, R::CAP, group);
            bin = bin_of<R>(group, i, positions);
        }
        const u32 same = __match_any_sync(ALL, bin);
        if (bin >= 0 && lane == __ffs(same) - 1) hist[bin] += __popc(same);
        __syncwarp();
    }
    __syncthreads();
    for (i32 b = threadIdx.x; b < R::BINS; b += blockDim.x) {
        u32 sum = 0;
        for (i32 w = 0; w < warps; ++w) {
            const u32 n = shared[w * R::BINS + b];
            shared[w * R::BINS + b] = sum;
            sum += n;
        }
        plan->hist[cta][b] = sum;
    }
}

__device__ __forceinline__ u32 scan_warp(u32 v) {
    for (i32 d = 1; d < 32; d *= 2) {
        const u32 below = __shfl_up_sync(ALL, v, d);
        if (i32(threadIdx.x % 32) >= d) v += below;
    }
    return v;
}

// hist becomes exclusive over CTAs; the totals go to every member, into the half of this epoch. A warp takes a
// bin, or a thread where there are few CTAs to add up.
template <class R, class P>
__device__ void scan_and_send(const Ranks<P>& plans, i32 me, i32 cta, u32 epoch) {
    P* plan = plans.at[me];
    if (R::CTAS <= 8) {
        for (i32 b = cta * blockDim.x + threadIdx.x; b < R::BINS; b += R::CTAS * blockDim.x) {
            u32 sum = 0;
            #pragma unroll
            for (i32 c = 0; c < R::CTAS; ++c) {
                const u32 n = plan->hist[c][b];
                plan->hist[c][b] = sum;
                sum += n;
            }
            for (i32 m = 0; m < R::MEMBERS; ++m) plans.at[R::rank(m, me)]->counts[epoch & 1][R::member(me)][b] = sum;
        }
        return;
    }
    const i32 lane = threadIdx.x % 32;
    for (i32 b = cta * (blockDim.x / 32) + threadIdx.x / 32; b < R::BINS; b += R::CTAS * (blockDim.x / 32)) {
        u32 sum = 0;
        for (i32 first = 0; first < R::CTAS; first += 32) {
            const u32 n = first + lane < R::CTAS ? plan->hist[first + lane][b] : 0;
            const u32 inclusive = scan_warp(n);
            if (first + lane < R::CTAS) plan->hist[first + lane][b] = sum + inclusive - n;
            sum += __shfl_sync(ALL, inclusive, 31);
        }
        for (i32 m = lane; m < R::MEMBERS; m += 32) plans.at[R::rank(m, me)]->counts[epoch & 1][R::member(me)][b] = sum;
    }
}

// start[bin] = tuples numbered before this rank's first one. CTA 0 writes live rows and what was dropped.
template <class R, class P>
__device__ void totals(P* plan, u32* start, u32* live, i32 positions, i32 me, i32 cta, u32 epoch) {
    __shared__ u32 kept;
    if (threadIdx.x == 0) kept = 0;
    __syncthreads();
    for (i32 g = threadIdx.x; g < R::GROUPS; g += blockDim.x) {
        u32 run = 0, mine = 0;
        for (i32 n = 0; n < R::BINS / R::GROUPS * R::MEMBERS; ++n) {
            const i32 m = R::nth_member(n), b = R::nth_outer(n) * R::GROUPS + g;
            const u32 count = plan->counts[epoch & 1][m][b];
            if (m == R::member(me)) {
                start[b] = run;
                mine += min(run + count, R::CAP) - min(run, R::CAP);
            }
            run += count;
        }
        live[g] = min(run, R::CAP);
        if (cta == 0) plan->live[g] = live[g];
        if (mine) atomicAdd(&kept, mine);
    }
    __syncthreads();
    if (cta == 0 && threadIdx.x == 0) plan->dropped = positions * R::FAN - kept;
}

// First row of each group in its rank's buffer, groups rounded up to ALIGN rows; one warp a member, whose groups are G's.
template <class R, class G, i32 ALIGN> __device__ void first_rows(u32* base, const u32* live, G groups = {}) {
    const i32 lane = threadIdx.x % 32;
    for (i32 m = threadIdx.x / 32; m < R::MEMBERS; m += blockDim.x / 32) {
        u32 sum = 0;
        for (i32 first = 0; first < groups.size(m); first += 32) {
            const bool in = first + lane < groups.size(m);
            const i32 g = in ? groups.group(m, first + lane) : 0;
            const u32 n = in ? (live[g] + ALIGN - 1) / ALIGN * ALIGN : 0;
            const u32 inclusive = scan_warp(n);
            if (in) base[g] = sum + inclusive - n;
            sum += __shfl_sync(ALL, inclusive, 31);
        }
    }
}

// The stable slot of each own tuple.
template <class R, class P, class I>
__device__ void slots(P* plan, u32* shared, const u32* start, const I& index, i32 positions, i32 cta, const Launch& launch, i32 me, bool known = true) {
    const i32 lane = threadIdx.x % 32, warps = blockDim.x / 32;
    for (i32 b = threadIdx.x; b < R::BINS; b += blockDim.x) {
        const u32 first = start[b] + plan->hist[cta][b];
        for (i32 w = 0; w < warps; ++w) shared[w * R::BINS + b] += first;
    }
    __syncthreads();
    u32* next = shared + threadIdx.x / 32 * R::BINS;
    const Range own = own_range<R>(positions, cta);
    for (i32 first = own.begin; first < own.end; first += 32) {
        const i32 i = first + lane, at = i < own.end ? R::tuple(i, positions) : 0;
        i32 group = i < own.end ? group_of<R>(index, at, launch, me, known) : -1;
        const i32 bin = bin_of<R>(group, i, positions);
        const u32 same = __match_any_sync(ALL, bin);
        u32 slot = 0;
        if (bin >= 0) slot = next[bin] + __popc(same & ((1u << lane) - 1));
        __syncwarp();
        if (bin >= 0 && lane == __ffs(same) - 1) next[bin] += __popc(same);
        __syncwarp();
        if (i < own.end) {
            if (group >= 0 && slot >= R::CAP) {
                if (R::TRAP_CAP) fail(launch, 404, me, at / R::FAN, at % R::FAN, R::CAP, slot);
                group = -1;
            }
            plan->pairs[at] = {group, i32(slot)};
        }
    }
}
