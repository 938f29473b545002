// Which member of a plan holds each group of a route: how many are a member's, and the i-th of them.

// Member m holds EACH groups from m * EACH on; the last members may hold fewer, or none.
template <i32 GROUPS, i32 MEMBERS, i32 EACH> struct Blocks {
    static __device__ __forceinline__ i32 count(i32 m) { return GROUPS == MEMBERS * EACH ? EACH : max(min(GROUPS - m * EACH, EACH), 0); }
    static __device__ __forceinline__ i32 group(i32 m, i32 i) { return m * EACH + i; }
};

// Group g is with member g % MEMBERS.
template <i32 GROUPS, i32 MEMBERS> struct Cyclic {
    static __device__ __forceinline__ i32 count(i32 m) { return (GROUPS - m + MEMBERS - 1) / MEMBERS; }
    static __device__ __forceinline__ i32 group(i32 m, i32 i) { return i * MEMBERS + m; }
};
