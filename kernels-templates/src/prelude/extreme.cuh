// The larger and the smaller of two numbers: NaN stays, and +0 is more than -0.
__device__ __forceinline__ float larger(float a, float b) {
    float r;
    asm("max.f32 %0, %1, %2;" : "=f"(r) : "f"(a), "f"(b));
    return a != a ? a : b != b ? b : r;
}

__device__ __forceinline__ float smaller(float a, float b) {
    float r;
    asm("min.f32 %0, %1, %2;" : "=f"(r) : "f"(a), "f"(b));
    return a != a ? a : b != b ? b : r;
}

__device__ __forceinline__ f64 larger(f64 a, f64 b) {
    return a != a ? a : b != b ? b : a > b || (a == b && __double_as_longlong(a) >= 0) ? a : b;
}

__device__ __forceinline__ f64 smaller(f64 a, f64 b) { return -larger(-a, -b); }
