// Row traffic streams: it is used once, so it does not displace L1.
template <int BYTES> struct Vec;
template <> struct Vec<16> { uint4 v; };
template <> struct Vec<8> { uint2 v; };
template <> struct Vec<4> { u32 v; };
template <> struct Vec<2> { u16 v; };
template <> struct Vec<1> { u8 v; };

__device__ __forceinline__ Vec<16> load(const Vec<16>* p) {
    Vec<16> r;
    asm volatile("ld.global.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r.v.x), "=r"(r.v.y), "=r"(r.v.z), "=r"(r.v.w) : "l"(p));
    return r;
}
template <int BYTES> __device__ __forceinline__ Vec<BYTES> load(const Vec<BYTES>* p) { return *p; }
template <int BYTES> __device__ __forceinline__ void store(Vec<BYTES>* p, const Vec<BYTES>& r) { p->v = r.v; }
