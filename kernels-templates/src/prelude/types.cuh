// Fixed-width names; nothing is included, so that NVRTC and nvcc both take this file as it is.
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed char i8;
typedef short i16;
typedef int i32;
typedef long long i64;
struct bf16 { u16 bits; };
struct f16 { u16 bits; };
struct e4m3 { u8 bits; };
struct e5m2 { u8 bits; };
typedef float f32;
typedef double f64;

constexpr u32 ALL = 0xffffffffu;
