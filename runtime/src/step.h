// The memory of a gsic_step and of the tables behind it, which say where the blocks of sequences lie in the cache.
#ifndef GSIC_SRC_STEP_H
#define GSIC_SRC_STEP_H

#include <cstdint>
#include <vector>

#include "gsic/abi.h"
#include "manifest.h"

namespace gsic {

/// Where a table begins in the memory of a step, and how much that memory takes.
class StepLayout {
 public:
  /// Room for the steps of so many groups of columns, and for the tables of `tables` sequences.
  StepLayout(const Manifest &manifest, size_t tables, size_t groups = 1)
      : entries_(manifest.blocks(manifest.context)), tables_(tables), groups_(groups) {}

  uint64_t bytes() const { return place(tables_); }
  /// Bytes before the step of a group.
  static uint64_t step(size_t group) { return group * kStep; }
  /// Bytes before table number `table`.
  uint64_t place(size_t table) const { return step(groups_) + table * entries_ * sizeof(int64_t); }
  /// What gsic_column::table is for that table in the step of a group.
  int32_t index(size_t table, size_t group = 0) const {
    return int32_t((place(table) - step(group)) / sizeof(int64_t));
  }
  /// Blocks of a sequence, at most.
  size_t entries() const { return entries_; }

 private:
  /// Up to where a cache line begins.
  static constexpr uint64_t kStep = (sizeof(gsic_step) + 63) / 64 * 64;
  size_t entries_, tables_, groups_;
};

/// A table of blocks of `bytes` that lie one after another.
inline std::vector<int64_t> consecutive_blocks(uint64_t bytes, size_t count) {
  std::vector<int64_t> table(count);
  for (size_t i = 0; i < count; i++) table[i] = int64_t(i * bytes / sizeof(float));
  return table;
}

/// The columns of one sequence: the first of `ids` at `position`, with its table in `layout`; for the place of a
/// group's step.
inline gsic_step step_of(const int32_t *ids, uint32_t columns, size_t position, const StepLayout &layout,
                         size_t group = 0) {
  gsic_step step = {};
  step.columns = int32_t(columns);
  for (uint32_t j = 0; j < columns; j++) step.column[j] = {ids[j], int32_t(position + j), 0, layout.index(0, group)};
  return step;
}

/// Of all groups of a pass.
inline size_t columns_of(const std::vector<gsic_step> &steps) {
  size_t columns = 0;
  for (const gsic_step &step : steps) columns += size_t(step.columns);
  return columns;
}

}  // namespace gsic

#endif
