// Division toward minus infinity, and its remainder, which has the sign of the divisor.
__device__ __forceinline__ i64 floor_div(i64 a, i64 b) {
    const i64 quotient = a / b;
    return quotient - (a % b != 0 && (a < 0) != (b < 0));
}

__device__ __forceinline__ i64 floor_rem(i64 a, i64 b) {
    const i64 rest = a % b;
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}
