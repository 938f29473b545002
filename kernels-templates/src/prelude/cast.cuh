// Conversions through f32: to nearest even, e4m3 and e5m2 saturating, one NaN.
__device__ __forceinline__ float to_f32(e4m3 x) { u32 r; asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(r) : "h"(u16(x.bits))); return to_f32(f16{u16(r)}); }
__device__ __forceinline__ float to_f32(e5m2 x) { u32 r; asm("cvt.rn.f16x2.e5m2x2 %0, %1;" : "=r"(r) : "h"(u16(x.bits))); return to_f32(f16{u16(r)}); }
__device__ __forceinline__ float to_f32(bool x) { return float(x); }
__device__ __forceinline__ float to_f32(i8 x) { return float(x); }
__device__ __forceinline__ float to_f32(u8 x) { return float(x); }
__device__ __forceinline__ float to_f32(i16 x) { return float(x); }
__device__ __forceinline__ float to_f32(u16 x) { return float(x); }
__device__ __forceinline__ float to_f32(i32 x) { return float(x); }
__device__ __forceinline__ float to_f32(u32 x) { return float(x); }
__device__ __forceinline__ float to_f32(i64 x) { return float(x); }
__device__ __forceinline__ float to_f32(u64 x) { return float(x); }
template <> __device__ __forceinline__ e4m3 from_f32<e4m3>(float x) { u16 r; asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(r) : "f"(0.f), "f"(x)); return {u8(r)}; }
template <> __device__ __forceinline__ e5m2 from_f32<e5m2>(float x) { u16 r; asm("cvt.rn.satfinite.e5m2x2.f32 %0, %1, %2;" : "=h"(r) : "f"(0.f), "f"(x)); return {u8(r)}; }
__device__ __forceinline__ float canonical(float x) { return x == x ? x : __uint_as_float(0x7fffffffu); }
__device__ __forceinline__ f64 canonical(f64 x) { return x == x ? x : __longlong_as_double(0x7fffffffffffffffll); }
template <class From, class To, i32 N> __device__ __forceinline__ Vec<N * i32(sizeof(To))> cast(const Vec<N * i32(sizeof(From))>& row) {
    Vec<N * i32(sizeof(To))> out;
#pragma unroll
    for (i32 j = 0; j < N; ++j)
        reinterpret_cast<To*>(&out)[j] = from_f32<To>(canonical(to_f32(reinterpret_cast<const From*>(&row)[j])));
    return out;
}
