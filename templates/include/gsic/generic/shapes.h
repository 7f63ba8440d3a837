// What kernels for all shapes are told of a shape: words of 32 bits that compiler/emit/generic.ts writes in the order
// of these structs. A double is two words, the lower first; an argument that is 0 is absent.
#ifndef GSIC_GENERIC_SHAPES_H
#define GSIC_GENERIC_SHAPES_H

#include <stddef.h>

#include "gsic/work.h"

namespace gsic {
namespace generic {

enum class Type : int32_t {
  f32,
  f16,
  bf16,
  q4_0,
  q4_1,
  q5_0,
  q5_1,
  q8_0,
  q4_k,
  q5_k,
  q6_k,
  i4,
  i4_128,
  i8,
  f8,
  f8_128,
  nf4,
  fp4,
  coded_bf16,
  few_bits
};

/// A packed matrix [out, d] of `type`; what follows is of matrices at few bits, and `rank` of coded ones: how many rare
/// weights a group has room for. Of blocks, `ordered` says whether their columns lie in an order of their own.
struct MatrixShape {
  int32_t argument;
  Type type;
  int32_t out, d;
  int32_t bits, group, symmetric, rank;
  int32_t ordered;
};

struct Double {
  uint32_t low, high;

  double value() const {
    const uint64_t bits = uint64_t(high) << 32 | low;
    double number;
    __builtin_memcpy(&number, &bits, sizeof number);
    return number;
  }
};

struct TableShape {
  MatrixShape matrix;
  int32_t by_position;  ///< else by token
  int32_t offset;
  float scale;
};

struct EmbedShape {
  int32_t width, tables;
  TableShape table[1];
};

struct NormShape {
  int32_t width, layer;
  int32_t bias, residual;
  float epsilon;
};

struct HeadNorm {
  int32_t gain;
  float epsilon;
};

/// How the KV cache keeps numbers: see attention.h.
enum class CacheType : int32_t { f32, f16, int8 };

struct CacheShape {
  int32_t heads, kv_heads, head_dim, block;
  CacheType type;
  int32_t source_width, query_column, key_column, value_column;
  HeadNorm query, key;
  int32_t rope, rotary_dim, adjacent;
};

struct AttendShape {
  int32_t heads, kv_heads, head_dim, block;
  CacheType type;
  int32_t source_width, query_column;
  int32_t window;  ///< 0: all positions
  float scale;
};

/// Columns that a product or a gate is about.
enum class Which : int32_t { all, tiers_closed, tiers_open, exact_closed, exact_open };
/// What a matrix is multiplied with.
enum class Input : int32_t { x, coordinates, integers };
enum class Activation : int32_t { identity, relu, silu, gelu, gelu_tanh };

struct ProductShape {
  MatrixShape matrix;
  int32_t bias;
  int32_t column;  ///< of the output, where its rows begin
  Which which;
  Input input;
};

/// Present where `basis.argument` is not 0.
struct GateShape {
  MatrixShape basis;
  int32_t coordinates, counters;
  Double epsilon;
};

/// Present where `projections.argument` is not 0.
struct ExactShape {
  MatrixShape projections;
  Which which;
  int32_t counters;
  Double threshold;
};

struct ProjectShape {
  int32_t width;
  int32_t head;  ///< only the columns whose logits are wanted
  int32_t residual;
  Activation activation;
  GateShape gate;
  ExactShape exact;
  int32_t integers;  ///< the width of x where some matrix is multiplied with integers; else 0
  Which integer_columns;
  MatrixShape correction;  ///< B^T, or absent
  int32_t products;        ///< of a GLU: a gate's product, then that of its other half
  ProductShape product[1];
};

/// A screened head: the copy, of few bits, or the whole head.
struct ScreenedShape {
  MatrixShape matrix;
  int32_t floors;
};

using Arguments = void *const *;

void embed(const EmbedShape &shape, const gsic_worker &worker, Arguments arguments);
void norm(const NormShape &shape, const gsic_worker &worker, Arguments arguments);
void project(const ProjectShape &shape, const gsic_worker &worker, Arguments arguments);
void glu(const ProjectShape &shape, const gsic_worker &worker, Arguments arguments);
void cache(const CacheShape &shape, const gsic_worker &worker, Arguments arguments);
void attend(const AttendShape &shape, const gsic_worker &worker, Arguments arguments);
void screen(const ScreenedShape &shape, const gsic_worker &worker, Arguments arguments);
void rescore(const ScreenedShape &shape, const gsic_worker &worker, Arguments arguments);

inline void *aligned(void *memory) {
  return reinterpret_cast<void *>((reinterpret_cast<uintptr_t>(memory) + 63) & ~uintptr_t(63));
}
/// Memory of the calling function's own frame, for whole registers; specialised kernels have theirs there too.
#define GSIC_FRAME(bytes) gsic::generic::aligned(__builtin_alloca((bytes) + 64))

inline const gsic_step &step_of(Arguments arguments) { return *static_cast<const gsic_step *>(arguments[0]); }
template <class T> inline T *argument(Arguments arguments, int index) {
  return index == 0 ? nullptr : static_cast<T *>(arguments[index]);
}

/// Zeroes what lies behind `width` in the rows of a value.
inline void clear_padding(const gsic_worker &worker, const gsic_step &step, float *value, int width) {
  if (worker.index != 0) return;
  const int stride = stride_of(width);
  for (int column = 0; column < step.columns; column++)
    for (int i = width; i < stride; i++) value[column * stride + i] = 0.0f;
}

}  // namespace generic
}  // namespace gsic

#endif
