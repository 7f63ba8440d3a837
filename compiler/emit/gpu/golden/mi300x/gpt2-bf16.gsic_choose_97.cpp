// id = the arg-max of a column's logits, -1 if one is not finite; and the position and token that were read
// logits [columns, 97], choices [columns]
// reads 0 bytes of weights per token
#include "gsic/gpu/layers.h"

using namespace gsic;

GSIC_KERNEL(gsic_choose_97, 16 * kWave, (const gsic_step *step, const float *logits, gsic_choice *choices)) {
  GSIC_SHARED(Candidates<16>, candidates);
  const Step now(step);
  const Columns columns = wanted_columns(now);
  for (int item = workgroup_index(); item < columns.count(); item += workgroup_count()) {
    const int column = columns.at(item);
    choose<16, 97>(logits + int64_t(column) * stride_of(97), step, column, choices + column,
                                     candidates);
  }
}
