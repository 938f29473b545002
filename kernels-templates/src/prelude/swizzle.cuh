// The 16-byte columns of rows of BYTES bytes are exchanged by the low bits of the row's number, as TMA and
// wgmma lay out shared memory. `element` counts from the buffer's start.
template <i32 BYTES, class V, class T> __device__ __forceinline__ V* swizzled(T* buffer, i64 element) {
    i64 byte = element * i64(sizeof(T));
    byte ^= (byte >> 7 & (BYTES / 16 - 1)) << 4;
    return reinterpret_cast<V*>(reinterpret_cast<u64>(buffer) + byte);
}
