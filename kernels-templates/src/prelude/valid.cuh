// Whether an index read from a tensor may be used; the launch fails otherwise.
__device__ __forceinline__ bool valid(i64 index, i64 limit, const Launch& launch, i32 me) {
    if (index >= 0 && index < limit) return true;
    fail(launch, 906, me, -1, -1, limit, index);
    return false;
}
