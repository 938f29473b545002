// No other tuple of the position, which has `fan`, comes before this one and goes anywhere.
__device__ __forceinline__ bool is_first(const Pair* pairs, i64 tuple, i32 fan) {
  for (i64 other = tuple - tuple % fan; other < tuple; ++other)
    if (pairs[other].group >= 0) return false;
  return true;
}
