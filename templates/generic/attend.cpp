// Attention over heads of every width up to 256 channels, which compiler/cc/generic.ts asks for.
#include "gsic/attention.h"
#include "gsic/generic/shapes.h"

namespace gsic {
namespace generic {
namespace {

/// Queries of one head of the cache, each copied to whole registers, and back. `keys` and `values` begin where the head
/// does.
template <int Vectors, int Block>
void attend_padded(const AttendShape &shape, const Query *queries, int count, const float *keys, const float *values,
                   const int64_t *table, float *scores) {
  using Head = Attention<1, 1, Vectors * kLanes, Block>;
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

using Attend = void (*)(const AttendShape &, const Query *, int, const float *, const float *, const int64_t *,
                        float *);

/// By registers of a head, from 1 on.
template <int Block>
constexpr Attend kAttend[] = {
    attend_padded<1, Block>,  attend_padded<2, Block>,  attend_padded<3, Block>,  attend_padded<4, Block>,
    attend_padded<5, Block>,  attend_padded<6, Block>,  attend_padded<7, Block>,  attend_padded<8, Block>,
    attend_padded<9, Block>,  attend_padded<10, Block>, attend_padded<11, Block>, attend_padded<12, Block>,
    attend_padded<13, Block>, attend_padded<14, Block>, attend_padded<15, Block>, attend_padded<16, Block>,
};

}  // namespace

void attend(const AttendShape &shape, const gsic_worker &worker, Arguments arguments) {
  const gsic_step &step = step_of(arguments);
  const auto *source = static_cast<const float *>(arguments[1]);
  auto *y = static_cast<float *>(arguments[2]);
  const auto *keys = static_cast<const float *>(arguments[3]);
  const auto *values = static_cast<const float *>(arguments[4]);
  const int width = shape.heads * shape.head_dim, group = shape.heads / shape.kv_heads;
  const int padded = rounded(shape.head_dim), together = step.columns * group;
  const Attend attend_head = (shape.block == 16 ? kAttend<16> : kAttend<64>)[padded / kLanes - 1];
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
    const int64_t at = int64_t(kv) * shape.block * padded;
    attend_head(shape, queries, count, keys + at, values + at, table_of(step, run), worker.scratch);
  }
  clear_padding(worker, step, y, width);
}

}  // namespace generic
}  // namespace gsic
