// CUDA C++ as a host compiler takes it: words, built-in functions and the instructions that kernels name, by the
// meaning that the PTX ISA gives each. `nvrtc.cpp` puts it before a kernel's text and turns
// asm("ld.acquire.sys.global.u32 ..") into a call of ptx_ld_acquire_sys_global_u32.
#pragma once
#include "machine.h"
#include <cmath>
#include <cstring>
#include <type_traits>
#include <utility>

#define __device__
#define __global__
#define __forceinline__ inline
#define __constant__ static
#define __grid_constant__
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define threadIdx (emu_current->thread)
#define blockIdx (emu_current->block)
#define blockDim (emu_current->threads)
#define gridDim (emu_current->blocks)

struct uint2 { unsigned x, y; } __attribute__((aligned(8)));
struct uint4 { unsigned x, y, z, w; } __attribute__((aligned(16)));
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

template <class A, class B> using EmuCommon = std::common_type_t<A, B>;
template <class A, class B> static inline EmuCommon<A, B> min(A a, B b) { const EmuCommon<A, B> x = a, y = b; return y < x ? y : x; }
template <class A, class B> static inline EmuCommon<A, B> max(A a, B b) { const EmuCommon<A, B> x = a, y = b; return x < y ? y : x; }

// Bits.
template <class To, class From> static inline To emu_bits(From from) {
    static_assert(sizeof(To) == sizeof(From), "as many bits");
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}
static inline float __uint_as_float(unsigned x) { return emu_bits<float>(x); }
static inline unsigned __float_as_uint(float x) { return emu_bits<unsigned>(x); }
static inline int __float_as_int(float x) { return emu_bits<int>(x); }
static inline double __longlong_as_double(long long x) { return emu_bits<double>(x); }
static inline long long __double_as_longlong(double x) { return emu_bits<long long>(x); }
static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __ffs(int x) { return __builtin_ffs(x); }
static inline int __clz(int x) { return x == 0 ? 32 : __builtin_clz(unsigned(x)); }

// Arithmetic that gives a NaN gives this one.
static inline float emu_nan(float x) { return x == x ? x : emu_bits<float>(0x7fffffffu); }
static inline double emu_nan(double x) { return x == x ? x : emu_bits<double>(0x7fffffffffffffffull); }
static inline float __fadd_rn(float a, float b) { return emu_nan(a + b); }
static inline float __fsub_rn(float a, float b) { return emu_nan(a - b); }
static inline float __fmul_rn(float a, float b) { return emu_nan(a * b); }
static inline float __fdiv_rn(float a, float b) { return emu_nan(a / b); }
static inline float __fmaf_rn(float a, float b, float c) { return emu_nan(fmaf(a, b, c)); }
static inline double __dadd_rn(double a, double b) { return emu_nan(a + b); }
static inline double __dsub_rn(double a, double b) { return emu_nan(a - b); }
static inline double __dmul_rn(double a, double b) { return emu_nan(a * b); }
static inline double __ddiv_rn(double a, double b) { return emu_nan(a / b); }
static inline double __fma_rn(double a, double b, double c) { return emu_nan(fma(a, b, c)); }
static inline float __double2float_rn(double x) { return float(x); }

// Threads of a CTA, and lanes of a warp.
static inline void __syncthreads() { emu_sync_threads(true); }
static inline int __syncthreads_and(int all) { return emu_sync_threads(all != 0); }
static inline void __syncwarp(unsigned mask = 0xffffffffu) { uint64_t words[32]; emu_warp(mask, 0, words, "__syncwarp", true); }
static inline unsigned __activemask() { return 1u << emu_lane(); }
static inline void __nanosleep(unsigned) { emu_yield(EMU_SPINS); }

template <class T> static inline T __shfl_sync(unsigned mask, T value, int from) {
    uint64_t words[32], word = 0;
    memcpy(&word, &value, sizeof value);
    emu_warp(mask, word, words, "__shfl_sync", false);
    if ((mask >> (from & 31) & 1) == 0) emu_die("__shfl_sync from lane %d, which is not of the mask %08x", from, mask);
    memcpy(&value, &words[from & 31], sizeof value);
    return value;
}
template <class T> static inline T emu_shift(unsigned mask, T value, int from, const char* what) {
    uint64_t words[32], word = 0;
    memcpy(&word, &value, sizeof value);
    emu_warp(mask, word, words, what, false);
    if (from >= 0 && from < 32) memcpy(&value, &words[from], sizeof value);
    return value;
}
template <class T> static inline T __shfl_up_sync(unsigned mask, T value, unsigned by) { return emu_shift(mask, value, int(emu_lane()) - int(by), "__shfl_up_sync"); }
template <class T> static inline T __shfl_down_sync(unsigned mask, T value, unsigned by) { return emu_shift(mask, value, int(emu_lane()) + int(by), "__shfl_down_sync"); }
template <class T> static inline T __shfl_xor_sync(unsigned mask, T value, int by) { return emu_shift(mask, value, int(emu_lane()) ^ by, "__shfl_xor_sync"); }
static inline unsigned __ballot_sync(unsigned mask, int yes) {
    uint64_t words[32];
    emu_warp(mask, yes != 0, words, "__ballot_sync", false);
    unsigned out = 0;
    for (int lane = 0; lane < 32; ++lane)
        if (mask >> lane & 1) out |= unsigned(words[lane]) << lane;
    return out;
}
static inline int __any_sync(unsigned mask, int yes) { return __ballot_sync(mask, yes) != 0; }
static inline int __all_sync(unsigned mask, int yes) { return __ballot_sync(mask, yes) == mask; }
template <class T> static inline unsigned __match_any_sync(unsigned mask, T value) {
    uint64_t words[32], word = 0;
    memcpy(&word, &value, sizeof value);
    emu_warp(mask, word, words, "__match_any_sync", false);
    unsigned out = 0;
    for (int lane = 0; lane < 32; ++lane)
        if ((mask >> lane & 1) && words[lane] == word) out |= 1u << lane;
    return out;
}

// Atomic functions order nothing by themselves; after a fence they publish.
template <class T, class V> static inline T atomicAdd(T* p, V v) {
    emu_yield(EMU_WORKS);
    emu_published(p, true, false);
    return __atomic_fetch_add(p, T(v), __ATOMIC_RELAXED);
}
template <class T, class V> static inline T atomicMax(T* p, V v) {
    emu_yield(EMU_WORKS);
    T old = __atomic_load_n(p, __ATOMIC_RELAXED);
    while (old < T(v) && !__atomic_compare_exchange_n(p, &old, T(v), false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {}
    return old;
}
template <class T, class V> static inline T atomicExch(T* p, V v) {
    emu_yield(EMU_WORKS);
    emu_published(p, true, false);
    return __atomic_exchange_n(p, T(v), __ATOMIC_RELAXED);
}
template <class T, class C, class V> static inline T atomicCAS(T* p, C compare, V v) {
    emu_yield(EMU_WORKS);
    emu_published(p, true, false);
    T expected = T(compare);
    __atomic_compare_exchange_n(p, &expected, T(v), false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    return expected;
}
static inline void __threadfence() { emu_fence(); }
static inline void __threadfence_system() { emu_fence(); }

static inline size_t __cvta_generic_to_shared(const void* p) { return emu_shared_address(p); }

// Shared memory of a function.
template <class T> static inline T& emu_shared_variable(const void* tag, size_t align) {
    return *static_cast<T*>(emu_shared(tag, sizeof(T), align > alignof(T) ? align : alignof(T)));
}

// Signals.
#define EMU_SCOPE(SCOPE, SYSTEM)                                                                                        \
    template <class T> static inline void ptx_ld_acquire_##SCOPE##_global_u32(T& v, const T* p) {                       \
        emu_yield(EMU_SPINS);                                                                                           \
        v = __atomic_load_n(p, __ATOMIC_RELAXED);                                                                       \
        emu_acquired(p, SYSTEM);                                                                                        \
    }                                                                                                                   \
    template <class T, class V> static inline void ptx_st_release_##SCOPE##_global_u32(T* p, V v) {                              \
        emu_yield(EMU_WORKS);                                                                                           \
        emu_published(p, SYSTEM, true);                                                                                 \
        __atomic_store_n(p, T(v), __ATOMIC_RELAXED);                                                                       \
    }                                                                                                                   \
    template <class T, class V> static inline void ptx_st_relaxed_##SCOPE##_global_u32(T* p, V v) {                              \
        emu_yield(EMU_WORKS);                                                                                           \
        emu_published(p, SYSTEM, false);                                                                                \
        __atomic_store_n(p, T(v), __ATOMIC_RELAXED);                                                                       \
    }                                                                                                                   \
    template <class T, class V> static inline void ptx_red_relaxed_##SCOPE##_global_add_u32(T* p, V v) {                         \
        emu_yield(EMU_WORKS);                                                                                           \
        emu_published(p, SYSTEM, false);                                                                                \
        __atomic_fetch_add(p, T(v), __ATOMIC_RELAXED);                                                                     \
    }                                                                                                                   \
    template <class T, class V> static inline void ptx_red_release_##SCOPE##_global_add_u32(T* p, V v) {                         \
        emu_yield(EMU_WORKS);                                                                                           \
        emu_published(p, SYSTEM, true);                                                                                 \
        __atomic_fetch_add(p, T(v), __ATOMIC_RELAXED);                                                                     \
    }                                                                                                                   \
    static inline void ptx_fence_acq_rel_##SCOPE() { emu_fence(); }
// Left out on purpose: it moves what it moves, and orders nothing.
#define EMU_WITHOUT(SCOPE)                                                                                              \
    template <class T> static inline void emu_without_ld_acquire_##SCOPE##_global_u32(T& v, const T* p) {               \
        emu_yield(EMU_SPINS);                                                                                           \
        v = __atomic_load_n(p, __ATOMIC_RELAXED);                                                                       \
    }                                                                                                                   \
    template <class T, class V> static inline void emu_without_st_release_##SCOPE##_global_u32(T* p, V v) {             \
        __atomic_store_n(p, T(v), __ATOMIC_RELAXED);                                                                    \
    }                                                                                                                   \
    template <class T, class V> static inline void emu_without_red_release_##SCOPE##_global_add_u32(T* p, V v) {        \
        __atomic_fetch_add(p, T(v), __ATOMIC_RELAXED);                                                                  \
    }                                                                                                                   \
    static inline void emu_without_fence_acq_rel_##SCOPE() {}
EMU_WITHOUT(gpu)
EMU_WITHOUT(sys)
static inline void emu_without_fence_proxy_async_shared__cta() {}
static inline void emu_without_mbarrier_try_wait_parity_shared_b64_bra(unsigned, unsigned) {}
static inline void emu_without_cp_async_bulk_wait_group(unsigned) {}
static inline void emu_without_cp_async_bulk_wait_group_read(unsigned) {}
EMU_SCOPE(gpu, false)
EMU_SCOPE(sys, true)
template <class T> static inline void ptx_mov_u64(T& t) { t = emu_now(); }

// Rows.
template <class T> static inline void ptx_ld_global_L1__no_allocate_v4_u32(T& x, T& y, T& z, T& w, const void* p) {
    if (uintptr_t(p) % 16 != 0) emu_die("a load of 16 bytes at %p", p);
    const T* from = static_cast<const T*>(p);
    x = from[0]; y = from[1]; z = from[2]; w = from[3];
}

// The copy engine.
static inline void ptx_mbarrier_init_shared_b64(unsigned word, unsigned arrivals) { emu_mbarrier_init(word, arrivals); }
static inline void ptx_mbarrier_arrive_shared_b64(unsigned word) { emu_mbarrier_arrive(word, 0); }
static inline void ptx_mbarrier_arrive_expect_tx_shared_b64(unsigned word, unsigned bytes) { emu_mbarrier_arrive(word, bytes); }
static inline void ptx_mbarrier_try_wait_parity_shared_b64_bra(unsigned word, unsigned parity) {
    while (!emu_mbarrier_over(word, parity)) emu_yield(EMU_SPINS);
}
template <class T> static inline void ptx_mbarrier_test_wait_parity_shared_b64_selp_u32(T& done, unsigned word, unsigned parity) {
    emu_yield(EMU_SPINS);
    done = emu_mbarrier_over(word, parity);
}
static inline void ptx_fence_proxy_async_shared__cta() { emu_proxy_fence(); }
static inline void ptx_fence_proxy_async_global() { emu_proxy_fence(); }
static inline void ptx_cp_async_bulk_shared__cluster_global_mbarrier__complete_tx__bytes(unsigned to, const void* from, unsigned bytes, unsigned word) { emu_bulk_load(to, from, bytes, word); }
static inline void ptx_cp_async_bulk_global_shared__cta_bulk_group(void* to, unsigned from, unsigned bytes) { emu_bulk_store(to, from, bytes); }
template <class T> static inline void ptx_createpolicy_fractional_L2__evict_first_b64(T& policy) { policy = 0; }
template <class T> static inline void ptx_cp_async_bulk_global_shared__cta_bulk_group_L2__cache_hint(void* to, unsigned from, unsigned bytes, T) { emu_bulk_store(to, from, bytes); }
static inline void ptx_cp_async_bulk_commit_group() { emu_bulk_commit(); }
static inline void ptx_cp_async_bulk_wait_group(unsigned later) { while (!emu_bulk_done(later, false)) emu_yield(EMU_SPINS); }
static inline void ptx_cp_async_bulk_wait_group_read(unsigned later) { while (!emu_bulk_done(later, true)) emu_yield(EMU_SPINS); }

// Conversions: to nearest even.
static inline unsigned emu_round(float x, int mantissa, int least, unsigned most, unsigned nan, bool saturates) {
    // A float of `mantissa` bits and a smallest normal exponent `least`, without its sign; `most` is the largest finite.
    if (x != x) return nan;
    const double a = std::fabs(double(x));
    if (std::isinf(a)) return saturates ? most : most + 1;
    int exponent = 0;
    std::frexp(a, &exponent);
    exponent = exponent - 1 < least ? least : exponent - 1;
    const double unit = std::ldexp(1.0, exponent - mantissa);
    double steps = std::nearbyint(a / unit);
    if (steps >= std::ldexp(1.0, mantissa + 1)) { steps /= 2; ++exponent; }
    const bool normal = steps >= std::ldexp(1.0, mantissa);
    const unsigned bits = normal ? (unsigned(exponent - least + 1) << mantissa) + unsigned(steps) - (1u << mantissa) : unsigned(steps);
    return bits > most ? (saturates ? most : most + 1) : bits;
}
static inline float emu_widen(unsigned bits, int mantissa, int least) {
    const unsigned exponent = bits >> mantissa, rest = bits & ((1u << mantissa) - 1);
    return exponent == 0 ? std::ldexp(float(rest), least - mantissa) : std::ldexp(float(rest + (1u << mantissa)), int(exponent) - 1 + least - mantissa);
}
static inline unsigned emu_f16_of(float x) { return x != x ? 0x7fffu : emu_round(x, 10, -14, 0x7bff, 0x7fff, false) | (std::signbit(x) ? 0x8000u : 0); }
static inline float emu_f32_of(unsigned short bits) {
    const unsigned rest = bits & 0x7fff;
    const float size = rest > 0x7c00 ? emu_bits<float>(0x7fffffffu) : rest == 0x7c00 ? INFINITY : emu_widen(rest, 10, -14);
    return rest <= 0x7c00 && bits >> 15 ? -size : size;
}
template <class T> static inline void ptx_cvt_f32_f16(float& r, T bits) { r = emu_f32_of(bits); }
template <class T> static inline void ptx_cvt_rn_f16_f32(T& r, float x) { r = T(emu_f16_of(x)); }
template <class T> static inline void ptx_cvt_rn_bf16_f32(T& r, float x) {
    const unsigned bits = emu_bits<unsigned>(x);
    r = x != x ? T(0x7fff) : T((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
// The low one of two.
static inline unsigned emu_sign(float x) { return std::signbit(x) ? 0x80u : 0; }
template <class T> static inline void ptx_cvt_rn_satfinite_e4m3x2_f32(T& r, float, float x) { r = T(x != x ? 0x7f : emu_round(x, 3, -6, 0x7e, 0x7f, true) | emu_sign(x)); }
template <class T> static inline void ptx_cvt_rn_satfinite_e5m2x2_f32(T& r, float, float x) { r = T(x != x ? 0x7f : emu_round(x, 2, -14, 0x7b, 0x7f, true) | emu_sign(x)); }
template <class T> static inline void ptx_cvt_rn_f16x2_e4m3x2(T& r, unsigned short bits) {
    const unsigned rest = bits & 0x7f;
    r = rest == 0x7f ? 0x7fff : emu_f16_of(bits & 0x80 ? -emu_widen(rest, 3, -6) : emu_widen(rest, 3, -6));
}
template <class T> static inline void ptx_cvt_rn_f16x2_e5m2x2(T& r, unsigned short bits) {
    const unsigned rest = bits & 0x7f, sign = (bits & 0x80u) << 8;
    r = rest > 0x7c ? 0x7fff : (rest << 8) | sign;
}
static inline void ptx_max_f32(float& r, float a, float b) { r = a != a ? b : b != b ? a : a == b ? (std::signbit(a) ? b : a) : a > b ? a : b; }
static inline void ptx_min_f32(float& r, float a, float b) { r = a != a ? b : b != b ? a : a == b ? (std::signbit(a) ? a : b) : a < b ? a : b; }

// A kernel with its parameters in an array, as a launch has them.
template <class... P> struct EmuSignature {
    static constexpr unsigned count = sizeof...(P);
    static constexpr size_t bytes[] = {sizeof(P)..., 0};
    template <size_t... I> static void call(void (*kernel)(P...), void** arguments, std::index_sequence<I...>) {
        kernel(*static_cast<std::remove_const_t<P>*>(arguments[I])...);
    }
};
template <class... P> static inline EmuSignature<P...> emu_signature(void (*)(P...)) { return {}; }
template <class... P> static inline void emu_call(void (*kernel)(P...), void** arguments) {
    EmuSignature<P...>::call(kernel, arguments, std::index_sequence_for<P...>());
}
