// The pointer that lane `from` holds.
template <class T> __device__ __forceinline__ T* shuffle(T* p, i32 from) {
    return reinterpret_cast<T*>(__shfl_sync(ALL, reinterpret_cast<u64>(p), from));
}
