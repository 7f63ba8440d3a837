// The AMD dialect: CDNA, waves of 64 lanes, compiler builtins in place of the HIP headers.
#ifndef GSIC_DIALECT_HIP_H
#define GSIC_DIALECT_HIP_H

#pragma clang force_cuda_host_device begin

#define GSIC_UNROLL _Pragma("unroll")
#define GSIC_KEEP_LOOP _Pragma("unroll 1")
#define GSIC_SHARED(Type, name) static __attribute__((shared)) Type name
#define GSIC_KERNEL(symbol, threads, parameters) \
  extern "C" __attribute__((global))             \
  __attribute__((amdgpu_flat_work_group_size(threads, threads))) void symbol parameters

namespace gsic {

constexpr int kWave = 64;
constexpr bool kMatrixCores = true;

/// Opaque, so that what is computed from it is not kept in registers across loops: that makes large kernels spill.
inline int thread_index() {
  int index = int(__builtin_amdgcn_workitem_id_x());
  asm volatile("" : "+v"(index));
  __builtin_assume(index >= 0 && index < 1024);
  return index;
}
inline int workgroup_index() { return int(__builtin_amdgcn_workgroup_id_x()); }
/// The first hidden argument of code objects of version 5. What the dispatch packet says would take a division.
inline int workgroup_count() {
  return *(const __attribute__((address_space(4))) int *)__builtin_amdgcn_implicitarg_ptr();
}

inline uint32_t held(uint32_t word) {
  asm("" : "+v"(word));
  return word;
}
/// One instruction, of which the compiler would make two where both the others are constants, or another `or` follows.
inline uint32_t and_or(uint32_t word, uint32_t mask, uint32_t more) {
  uint32_t both;
  asm("v_and_or_b32 %0, %1, %2, %3" : "=v"(both) : "v"(word), "s"(mask), "v"(more));
  return both;
}

inline uint32_t choose_bytes(uint32_t high, uint32_t low, uint32_t places) {
  return __builtin_amdgcn_perm(high, low, places);
}

inline int uniform(int value) { return __builtin_amdgcn_readfirstlane(value); }
inline int64_t uniform(int64_t value) {
  return int64_t(uint64_t(uint32_t(uniform(int(value >> 32)))) << 32 | uint32_t(uniform(int(value))));
}

/// The compiler moves nothing across: without it, it loads so far ahead that registers spill.
inline void hold() { __builtin_amdgcn_sched_barrier(0); }

/// A scalar that comes from memory is there from here on.
template <class T> inline void wait_for(T scalar) { asm volatile("" ::"s"(scalar)); }
/// Scalars that come from memory (parameters, the number of workgroups) are loaded here, in one round trip: the
/// compiler would load each where it is needed.
template <class... T> inline void together(T... scalars) { (wait_for(scalars), ...); }

/// What is loaded before it is asked for before what follows: the compiler would move a load to where it is needed.
inline void issued() {
  asm volatile("" ::: "memory");
  hold();
}

/// What was loaded is there from here on.
inline void is_there(float &loaded) { asm volatile("" : "+v"(loaded)); }

inline void barrier() {
  __builtin_amdgcn_fence(__ATOMIC_RELEASE, "workgroup");
  __builtin_amdgcn_s_barrier();
  __builtin_amdgcn_fence(__ATOMIC_ACQUIRE, "workgroup");
}

template <int Mask> inline float shuffle_xor(float value) {
  int bits;
  __builtin_memcpy(&bits, &value, 4);
  if constexpr (Mask == 1) {
    bits = __builtin_amdgcn_update_dpp(0, bits, 0xb1, 0xf, 0xf, true);  // within four lanes: 1, 0, 3, 2
  } else if constexpr (Mask == 2) {
    bits = __builtin_amdgcn_update_dpp(0, bits, 0x4e, 0xf, 0xf, true);  // 2, 3, 0, 1
  } else if constexpr (Mask < 32) {
    bits = __builtin_amdgcn_ds_swizzle(bits, Mask << 10 | 0x1f);
  } else {
    bits = __builtin_amdgcn_ds_bpermute((thread_index() ^ Mask) % kWave * 4, bits);
  }
  __builtin_memcpy(&value, &bits, 4);
  return value;
}

/// The vector of the compiler that has the size of T, so that one instruction moves it.
template <int Bytes> struct Word;
template <> struct Word<1> {
  typedef uint8_t type;
};
template <> struct Word<2> {
  typedef uint16_t type;
};
template <> struct Word<4> {
  typedef uint32_t type;
};
template <> struct Word<8> {
  typedef uint32_t type __attribute__((ext_vector_type(2)));
};
template <> struct Word<16> {
  typedef uint32_t type __attribute__((ext_vector_type(4)));
};

template <class T> inline T load(const T *p) {
  typedef typename Word<sizeof(T)>::type W;
  const W word = *reinterpret_cast<const W *>(p);
  T value;
  __builtin_memcpy(&value, &word, sizeof value);
  return value;
}
template <class T> inline T load_once(const T *p) {
  typedef typename Word<sizeof(T)>::type W;
  const W word = __builtin_nontemporal_load(reinterpret_cast<const W *>(p));
  T value;
  __builtin_memcpy(&value, &word, sizeof value);
  return value;
}
/// By vector memory, coherent on the device: where lanes read one address, the compiler would take a scalar load, and
/// that may come from a cache that the host's copy did not invalidate (ROCm/hip#3902).
template <class T> inline T load_fresh(const T *p) {
  return __hip_atomic_load(p, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_AGENT);
}
template <class T> inline void store(T *p, T value) { *p = value; }

inline float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
/// One instruction, v_pk_fma_f32.
inline f32x2 fma(f32x2 a, f32x2 b, f32x2 c) {
  typedef float Two __attribute__((ext_vector_type(2)));
  const Two sum = __builtin_elementwise_fma(Two{a.v[0], a.v[1]}, Two{b.v[0], b.v[1]}, Two{c.v[0], c.v[1]});
  return {{sum[0], sum[1]}};
}
inline float f16_to_f32(uint16_t bits) {
  _Float16 half;
  __builtin_memcpy(&half, &bits, 2);
  return float(half);
}
/// To the nearest, ties to even.
inline uint16_t f32_to_f16(float value) {
  const _Float16 half = _Float16(value);
  uint16_t bits;
  __builtin_memcpy(&bits, &half, 2);
  return bits;
}

typedef float matrix_f32 __attribute__((ext_vector_type(4)));
typedef short matrix_bf16 __attribute__((ext_vector_type(4)));

/// v_mfma_f32_4x4x4_16b_bf16: in each block of four lanes, D = A B + C with A, B, C [4, 4]. Lane i of a block holds
/// row i of A, column i of B, and column i of C and D; elements of a lane run along the other axis.
inline f32x4 matrix_dot(u32x2 a, u32x2 b, f32x4 c) {
  matrix_bf16 left, right;
  matrix_f32 sum;
  __builtin_memcpy(&left, &a, 8);
  __builtin_memcpy(&right, &b, 8);
  __builtin_memcpy(&sum, &c, 16);
  sum = __builtin_amdgcn_mfma_f32_4x4x4bf16_1k(left, right, sum, 0, 0, 0);
  __builtin_memcpy(&c, &sum, 16);
  return c;
}

}  // namespace gsic

#endif
