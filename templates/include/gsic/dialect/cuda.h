// The NVIDIA dialect: warps of 32 lanes, compiler builtins in place of the CUDA headers, PTX out.
#ifndef GSIC_DIALECT_CUDA_H
#define GSIC_DIALECT_CUDA_H

#pragma clang force_cuda_host_device begin

#define GSIC_UNROLL _Pragma("unroll")
#define GSIC_KEEP_LOOP _Pragma("unroll 1")
#define GSIC_SHARED(Type, name) static __attribute__((shared)) Type name
#define GSIC_KERNEL(symbol, threads, parameters) \
  extern "C" __attribute__((global)) __attribute__((launch_bounds(threads))) void symbol parameters

namespace gsic {

constexpr int kWave = 32;
constexpr bool kMatrixCores = false;

inline int thread_index() { return int(__nvvm_read_ptx_sreg_tid_x()); }
inline int workgroup_index() { return int(__nvvm_read_ptx_sreg_ctaid_x()); }
inline int workgroup_count() { return int(__nvvm_read_ptx_sreg_nctaid_x()); }

inline uint32_t held(uint32_t word) { return word; }
inline uint32_t and_or(uint32_t word, uint32_t mask, uint32_t more) { return (word & mask) | more; }
/// prmt takes four bits a place.
inline uint32_t choose_bytes(uint32_t high, uint32_t low, uint32_t places) {
  const uint32_t pairs = places | places >> 4;
  uint32_t bytes;
  asm("prmt.b32 %0, %1, %2, %3;" : "=r"(bytes) : "r"(low), "r"(high), "r"((pairs & 255u) | (pairs >> 8 & 0xff00u)));
  return bytes;
}
inline int uniform(int value) { return value; }
inline void hold() {}
template <class... T> inline void together(T...) {}
inline void is_there(float &) {}
inline void issued() { asm volatile("" ::: "memory"); }
inline void barrier() { __nvvm_bar_sync(0); }

template <int Mask> inline float shuffle_xor(float value) { return __nvvm_shfl_sync_bfly_f32(~0u, value, Mask, 31); }

template <class T> inline T load(const T *p) { return *p; }
/// Streamed: not kept in the first-level cache.
template <class T> inline T load_once(const T *p) {
  if constexpr (sizeof(T) == 16) {
    u32x4 word;
    asm("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
        : "=r"(word.v[0]), "=r"(word.v[1]), "=r"(word.v[2]), "=r"(word.v[3])
        : "l"(p));
    T value;
    __builtin_memcpy(&value, &word, 16);
    return value;
  } else {
    return *p;
  }
}
/// Not through the read-only cache.
template <class T> inline T load_fresh(const T *p) { return *const_cast<const volatile T *>(p); }
template <class T> inline void store(T *p, T value) { *p = value; }

inline float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
inline f32x2 fma(f32x2 a, f32x2 b, f32x2 c) { return {{fma(a.v[0], b.v[0], c.v[0]), fma(a.v[1], b.v[1], c.v[1])}}; }
inline float f16_to_f32(uint16_t bits) {
  float value;
  asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
  return value;
}
/// To the nearest, ties to even.
inline uint16_t f32_to_f16(float value) {
  uint16_t bits;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
  return bits;
}

/// Declared only, since `kMatrixCores` is false: plain arithmetic outruns the memory where columns are few.
f32x4 matrix_dot(u32x2 a, u32x2 b, f32x4 c);

}  // namespace gsic

#endif
