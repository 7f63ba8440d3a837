// Embeddings, norms and the cache of every shape.
#include "gsic/layers.h"

#include "gsic/attention.h"
#include "gsic/generic/matrix.h"

namespace gsic {
namespace generic {

void embed(const EmbedShape &shape, const gsic_worker &worker, Arguments arguments) {
  const gsic_step &step = step_of(arguments);
  auto *y = static_cast<float *>(arguments[1]);
  const int stride = stride_of(shape.width);
  const Range columns = share(worker, step.columns);
  for (int column = columns.begin; column < columns.end; column++) {
    float *out = y + column * stride;
    clear(out, stride);
    for (int i = 0; i < shape.tables; i++) {
      const TableShape &table = shape.table[i];
      const int index = (table.by_position ? step.column[column].position : step.column[column].token) + table.offset;
      with_rows(table.matrix, arguments[table.matrix.argument],
                [&](const auto &matrix) { add_row(matrix, index, table.scale, out); });
    }
  }
}

void norm(const NormShape &shape, const gsic_worker &worker, Arguments arguments) {
  const auto *x = static_cast<const float *>(arguments[1]);
  auto *y = static_cast<float *>(arguments[2]);
  const auto *gain = static_cast<const float *>(arguments[3]);
  const auto *bias = argument<const float>(arguments, shape.bias);
  const auto *residual = argument<const float>(arguments, shape.residual);
  const int width = shape.width, stride = stride_of(width);
  const Range columns = share(worker, step_of(arguments).columns);
  for (int column = columns.begin; column < columns.end; column++) {
    const float *from = x + column * stride, *more = residual == nullptr ? nullptr : residual + column * stride;
    if (shape.layer)
      layer_norm(width, from, gain, bias, shape.epsilon, y + column * stride, more);
    else
      rms_norm(width, from, gain, shape.epsilon, y + column * stride, more);
  }
}

namespace {

void normalize_heads(const HeadNorm &norm, int heads, int width, float *row, Arguments arguments) {
  const auto *gain = argument<const float>(arguments, norm.gain);
  if (gain == nullptr) return;
  for (int head = 0; head < heads; head++) normalize_head(width, row + head * width, gain, norm.epsilon);
}

void rotate_heads(const CacheShape &shape, int heads, float *row, const float *table) {
  for (int head = 0; head < heads; head++)
    if (shape.adjacent)
      rotate<Pairing::adjacent>(shape.rotary_dim, row + head * shape.head_dim, table);
    else
      rotate<Pairing::half>(shape.rotary_dim, row + head * shape.head_dim, table);
}

/// Puts the key or value heads of one column into the cache.
template <class Element>
void append(const CacheShape &shape, const float *source, uint8_t *cache, const int64_t *table, int position) {
  const int padded = rounded(shape.head_dim), slot = position % shape.block;
  uint8_t *out = cache + 4 * table[position / shape.block];
  auto *vector = static_cast<float *>(GSIC_FRAME(size_t(padded) * 4));
  for (int i = shape.head_dim; i < padded; i++) vector[i] = 0.0f;
  for (int head = 0; head < shape.kv_heads; head++) {
    for (int i = 0; i < shape.head_dim; i++) vector[i] = source[head * shape.head_dim + i];
    put<Element>(vector, padded, out, shape.block, slot);
    out += cached_bytes<Element>(shape.block, padded);
  }
}

using Append = void (*)(const CacheShape &, const float *, uint8_t *, const int64_t *, int);

Append append_of(CacheType type) {
  switch (type) {
    case CacheType::f16:
      return append<CacheF16>;
    case CacheType::int8:
      return append<CacheInt8>;
    case CacheType::f32:
      break;
  }
  return append<CacheF32>;
}

}  // namespace

void cache(const CacheShape &shape, const gsic_worker &worker, Arguments arguments) {
  const gsic_step &step = step_of(arguments);
  auto *source = static_cast<float *>(arguments[1]);
  auto *keys = static_cast<uint8_t *>(arguments[2]);
  auto *values = static_cast<uint8_t *>(arguments[3]);
  const auto *rope = argument<const float>(arguments, shape.rope);
  const Append append_heads = append_of(shape.type);
  const Range columns = share(worker, step.columns);
  for (int column = columns.begin; column < columns.end; column++) {
    const int position = step.column[column].position;
    const int64_t *table = table_of(step, column);
    float *row = source + column * stride_of(shape.source_width);
    normalize_heads(shape.query, shape.heads, shape.head_dim, row + shape.query_column, arguments);
    normalize_heads(shape.key, shape.kv_heads, shape.head_dim, row + shape.key_column, arguments);
    if (rope != nullptr) {
      const float *angles = rope + int64_t(position) * shape.rotary_dim;
      rotate_heads(shape, shape.heads, row + shape.query_column, angles);
      rotate_heads(shape, shape.kv_heads, row + shape.key_column, angles);
    }
    append_heads(shape, row + shape.key_column, keys, table, position);
    append_heads(shape, row + shape.value_column, values, table, position);
  }
}

}  // namespace generic
}  // namespace gsic
