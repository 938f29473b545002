// Whether an index read from a tensor, known by its number, may be used; the launch fails otherwise.
__device__ __forceinline__ bool valid(i64 index, i64 limit, const Launch& launch, i32 me, i32 tensor) {
    if (index >= 0 && index < limit) return true;
    fail(launch, 906, me, -2, tensor, limit, index);
    return false;
}
