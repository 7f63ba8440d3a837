// Attention over heads of every width up to 256 channels, which compiler/cc/generic.ts asks for.
#include "gsic/attention.h"
#include "gsic/generic/shapes.h"

namespace gsic {
namespace generic {
namespace {

/// Queries of one head of the cache, each copied to whole registers, and back. `keys` and `values` begin where the head
/// does.
template <int Vectors, int Block, class Element>
void attend_padded(const AttendShape &shape, const Query *queries, int count, const uint8_t *keys,
                   const uint8_t *values, const int64_t *table, float *scores) {
  using Head = Attention<1, 1, Vectors * kLanes, Block, Element>;
  Query padded[GSIC_MAX_QUERIES];
  float heads[GSIC_MAX_QUERIES][Head::padded], y[GSIC_MAX_QUERIES][Head::padded];
  for (int i = 0; i < count; i++) {
    padded[i] = {heads[i], y[i], queries[i].begin, queries[i].end};
    for (int j = 0; j < Head::padded; j++) heads[i][j] = j < shape.head_dim ? queries[i].head[j] : 0.0f;
  }
  gsic::attend<Head>(padded, count, {keys, table}, {values, table}, shape.scale, scores);
  for (int i = 0; i < count; i++)
    for (int j = 0; j < shape.head_dim; j++) queries[i].y[j] = y[i][j];
}

using Attend = void (*)(const AttendShape &, const Query *, int, const uint8_t *, const uint8_t *, const int64_t *,
                        float *);

/// By registers of a head, from 1 on.
template <int Block, class Element>
constexpr Attend kAttend[] = {
    attend_padded<1, Block, Element>,  attend_padded<2, Block, Element>,  attend_padded<3, Block, Element>,
    attend_padded<4, Block, Element>,  attend_padded<5, Block, Element>,  attend_padded<6, Block, Element>,
    attend_padded<7, Block, Element>,  attend_padded<8, Block, Element>,  attend_padded<9, Block, Element>,
    attend_padded<10, Block, Element>, attend_padded<11, Block, Element>, attend_padded<12, Block, Element>,
    attend_padded<13, Block, Element>, attend_padded<14, Block, Element>, attend_padded<15, Block, Element>,
    attend_padded<16, Block, Element>,
};

/// What attends over heads of a shape, and the bytes that a block has of one.
struct HeadAttend {
  Attend attend;
  int64_t bytes;
};

template <class Element> HeadAttend head_attend(const AttendShape &shape) {
  const int padded = rounded(shape.head_dim), index = padded / kLanes - 1;
  return {shape.block == 16 ? kAttend<16, Element>[index] : kAttend<64, Element>[index],
          cached_bytes<Element>(shape.block, padded)};
}

HeadAttend head_attend_of(const AttendShape &shape) {
  switch (shape.type) {
    case CacheType::f16:
      return head_attend<CacheF16>(shape);
    case CacheType::int8:
      return head_attend<CacheInt8>(shape);
    case CacheType::f32:
      break;
  }
  return head_attend<CacheF32>(shape);
}

}  // namespace

void attend(const AttendShape &shape, const gsic_worker &worker, Arguments arguments) {
  const gsic_step &step = step_of(arguments);
  const auto *source = static_cast<const float *>(arguments[1]);
  auto *y = static_cast<float *>(arguments[2]);
  const auto *keys = static_cast<const uint8_t *>(arguments[3]);
  const auto *values = static_cast<const uint8_t *>(arguments[4]);
  const int width = shape.heads * shape.head_dim, group = shape.heads / shape.kv_heads;
  const int together = step.columns * group;
  const HeadAttend head_attend = head_attend_of(shape);
  // Shared among workers, and taken together, as in cpu/attend.hbs.
  const Range items = share(worker, shape.kv_heads * together);
  for (int item = items.begin; item < items.end;) {
    const int kv = item / together, all = (kv + 1) * together, last = all < items.end ? all : items.end;
    const int run = step.column[item % together / group].first;
    Query queries[GSIC_MAX_QUERIES];
    int count = 0;
    uint64_t room = 0;
    for (; item < last && count < GSIC_MAX_QUERIES; item++, count++) {
      const int column = item % together / group, head = kv * group + item % group;
      if (step.column[column].first != run) break;
      const int end = step.column[column].position + 1;
      const int begin = shape.window == 0 || end < shape.window ? 0 : end - shape.window;
      queries[count] = {source + column * stride_of(shape.source_width) + shape.query_column + head * shape.head_dim,
                        y + column * stride_of(width) + head * shape.head_dim, begin, end};
      room += uint64_t(queries[count].room());
      if (count > 0 && room > worker.scratch_floats) break;
    }
    const int64_t at = kv * head_attend.bytes;
    head_attend.attend(shape, queries, count, keys + at, values + at, table_of(step, run), worker.scratch);
  }
  clear_padding(worker, step, y, width);
}

}  // namespace generic
}  // namespace gsic
