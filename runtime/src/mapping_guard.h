// What becomes of a process when a file that it maps is cut.
#ifndef GSIC_SRC_MAPPING_GUARD_H
#define GSIC_SRC_MAPPING_GUARD_H

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace gsic {

/// Pages of a mapped file that the file no longer has raise SIGBUS, which ends a process. As long as this object lives,
/// reading them between `begin` and `begin` + `bytes` gives zeros instead, and `lost` becomes true: what was computed
/// from them is to be thrown away. To read the file into memory instead would take as much memory as it has bytes, for
/// each process; to look at its size before each pass would come too late for the pass.
///
/// The process gets a handler of SIGBUS while there are guards. Faults elsewhere go to the handler that was there
/// before.
class MappingGuard {
 public:
  MappingGuard(const uint8_t *begin, size_t bytes);
  ~MappingGuard();
  MappingGuard(const MappingGuard &) = delete;
  MappingGuard &operator=(const MappingGuard &) = delete;

  /// Never changes back, and lives as long as the guard. Never true where more than kMostGuards are alive: this one is
  /// then without effect.
  const std::atomic<bool> &lost() const { return *lost_; }

  /// The flag of the guard that covers an address; null if none does.
  static const std::atomic<bool> *at(const uint8_t *address);

 private:
  const std::atomic<bool> *lost_;
  size_t slot_;
};

}  // namespace gsic

#endif
