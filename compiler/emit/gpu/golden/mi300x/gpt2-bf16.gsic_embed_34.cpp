// y = token row + position row
// y [columns, 34]
// reads 160 bytes of weights per token
#include "gsic/gpu/layers.h"

using namespace gsic;

GSIC_KERNEL(gsic_embed_34, 4 * kWave, (const gsic_step *step, float *y, const void *token_table, const void *position_table)) {
  const Step now(step);
  constexpr int elements = 8, units = (34 + elements - 1) / elements;
  for (int item = workgroup_index() * 4 * kWave + thread_index(); item < now.columns() * units;
       item += workgroup_count() * 4 * kWave) {
    const int column = item / units, first = item % units * elements;
    float sum[elements] = {};
    {
      using Table = Matrix<bf16, 97, 34>;
      const Table table(token_table);
      const int row = now.token(column);
      for (int unit = first / bf16::elements; unit < (first + elements) / bf16::elements && unit < Table::units; unit++) {
        float part[bf16::elements] = {};
        add_unit(table, row, unit, part);
        for (int i = 0; i < bf16::elements; i++) sum[unit * bf16::elements - first + i] += part[i];
      }
    }
    {
      using Table = Matrix<bf16, 48, 34>;
      const Table table(position_table);
      const int row = now.position(column);
      for (int unit = first / bf16::elements; unit < (first + elements) / bf16::elements && unit < Table::units; unit++) {
        float part[bf16::elements] = {};
        add_unit(table, row, unit, part);
        for (int i = 0; i < bf16::elements; i++) sum[unit * bf16::elements - first + i] += part[i];
      }
    }
    write_row<34>(y + column * stride_of(34), first, sum);
  }
}
