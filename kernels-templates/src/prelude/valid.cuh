// Whether an index read from a tensor, known by its number, may be used; the launch fails otherwise.
__device__ __forceinline__ bool valid(i64 index, i64 limit, const Launch& launch, i32 me, i32 tensor) {
    if (index >= 0 && index < limit) return true;
    fail(launch, 906, me, -2, tensor, limit, index);
    return false;
}

// Whether a number may be divided by; the launch fails otherwise.
__device__ __forceinline__ bool divides(i64 divisor, const Launch& launch, i32 me) {
    if (divisor != 0) return true;
    fail(launch, 906, me, -3, -1, 0, 0);
    return false;
}
