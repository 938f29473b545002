// One pointer a rank: this device's own memory, or a peer's.
template <class T> struct Ranks { T* at[RANKS]; };
// One number a rank; a host knows only its own.
struct Values { i32 at[RANKS]; };

// The first error of a launch; the host reads it when it synchronises.
struct Report { u32 code; i32 rank; i32 peer; i32 slot; i64 expected; i64 seen; };

// The ranks of one device share one grid: CTAS consecutive CTAs serve one rank.
struct Launch { i32 first_rank; i32 pad; u64 timeout_ns; Report* report; };

__device__ __forceinline__ void fail(const Launch& launch, u32 code, i32 rank, i32 peer, i32 slot, i64 expected, i64 seen) {
    Report* report = launch.report;
    if (atomicCAS(&report->code, 0u, code) == 0u) {
        report->rank = rank; report->peer = peer; report->slot = slot;
        report->expected = expected; report->seen = seen;
    }
}
