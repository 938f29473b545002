// Which lane has the i-th of the tuples of a warp, for lane i; how many there are, as bits; and the last of each part.
struct Order {
    i32 from;
    u32 kept, ends;
};

// Of the lanes of `kept`, those of the least `part` first, ascending in each.
__device__ __forceinline__ Order by_part(u32 kept, i32 part) {
    const i32 lane = threadIdx.x % 32;
    i32 before = 0;
    for (u32 rest = kept; rest; rest &= rest - 1) {
        const i32 other = __ffs(rest) - 1, theirs = __shfl_sync(ALL, part, other);
        before += theirs < part || (theirs == part && other < lane);
    }
    i32 from = lane;
    for (u32 rest = kept; rest; rest &= rest - 1) {
        const i32 other = __ffs(rest) - 1;
        if (__shfl_sync(ALL, before, other) == lane) from = other;
    }
    const i32 count = __popc(kept), own = __shfl_sync(ALL, part, from);
    const i32 next = __shfl_down_sync(ALL, own, 1);
    return {from, count < 32 ? (1u << count) - 1 : ALL, __ballot_sync(ALL, lane + 1 == count || (lane < count && next != own))};
}
