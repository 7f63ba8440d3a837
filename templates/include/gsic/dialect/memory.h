// What the host dialect is made of: the workgroup's memory, and checked global memory.
#ifndef GSIC_DIALECT_MEMORY_H
#define GSIC_DIALECT_MEMORY_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gsic/simulation.h"

namespace gsic {

/// LDS: each GSIC_SHARED has its place, in the order in which lanes meet them.
class SimulatedLds {
 public:
  void begin(size_t promised) {
    memset(bytes_, 0xff, filled_ ? used_ : sizeof bytes_);
    filled_ = true;
    promised_ = promised;
    used_ = sites_ = 0;
  }
  void *place(const void *site, size_t bytes, size_t alignment) {
    for (int i = 0; i < sites_; i++)
      if (site_[i] == site) return bytes_ + offset_[i];
    used_ = (used_ + alignment - 1) / alignment * alignment;
    if (sites_ == kMostSites || used_ + bytes > sizeof bytes_) abort();
    site_[sites_] = site;
    offset_[sites_++] = used_;
    used_ += bytes;
    return bytes_ + used_ - bytes;
  }
  bool overflowed() const { return used_ > promised_; }

 private:
  static constexpr int kMostSites = 64;
  alignas(64) uint8_t bytes_[size_t(256) << 10];
  const void *site_[kMostSites];
  size_t offset_[kMostSites];
  int sites_ = 0;
  bool filled_ = false;
  size_t used_ = 0, promised_ = 0;
};

/// Global memory: an access belongs to the argument with the greatest address that is not above it. Of loads that
/// caches keep, what is fetched is counted: a run of sixteen bytes once, unless others of the argument took its place.
class SimulatedMemory {
 public:
  void begin(const gsic_simulation &simulation, void *const *arguments) {
    simulation_ = &simulation;
    fault_ = nullptr;
    count_ = int(simulation.arguments);
    if (count_ > kMostArguments) abort();
    for (int i = 0; i < count_; i++) {
      const uint64_t base = uint64_t(*static_cast<uint8_t *const *>(arguments[i]));
      int place = i;
      for (; place > 0 && base_[place - 1] > base; place--) {
        base_[place] = base_[place - 1];
        argument_[place] = argument_[place - 1];
      }
      base_[place] = base;
      argument_[place] = i;
    }
    base_[count_] = ~uint64_t(0);
    last_ = 0;
    launch_++;
  }
  const char *fault() const { return fault_; }
  bool loads(const void *p, size_t bytes, bool kept) {
    const int argument = argument_of(p, bytes, "loads out of bounds");
    if (argument < 0) return false;
    if (simulation_->loaded != nullptr) simulation_->loaded[argument] += kept ? fetched(argument, uint64_t(p)) : bytes;
    return true;
  }
  /// Where a load, after it was counted, finds what is at `p`: there, or in a cache that a copy did not invalidate.
  const void *cached(const void *p) const {
    const uint8_t *stale = simulation_->stale != nullptr ? simulation_->stale[argument_[last_]] : nullptr;
    return stale != nullptr ? stale + (uint64_t(p) - base_[last_]) : p;
  }
  bool stores(const void *p, size_t bytes) {
    const int argument = argument_of(p, bytes, "stores out of bounds");
    if (argument < 0) return false;
    if (simulation_->stored != nullptr) simulation_->stored[argument] += bytes;
    return true;
  }

 private:
  static constexpr int kMostArguments = 64;
  /// Bytes of a run, and runs that are kept of each argument: 64 KB.
  static constexpr uint64_t kRun = 16, kKept = 4096;

  /// Bytes that a load brings into the cache. No load is longer than a run, and all are aligned.
  uint64_t fetched(int argument, uint64_t address) {
    const uint64_t run = address / kRun, tag = run | launch_ << 44;
    uint64_t &kept = kept_[argument][run % kKept];
    if (kept == tag) return 0;
    kept = tag;
    return kRun;
  }

  /// The argument that an access belongs to; -1 and a fault if it is out of bounds.
  int argument_of(const void *p, size_t bytes, const char *complaint) {
    const uint64_t address = uint64_t(p);
    if (address < base_[last_] || address >= base_[last_ + 1])
      for (last_ = 0; last_ + 1 < count_ && base_[last_ + 1] <= address;) last_++;
    const int argument = argument_[last_];
    const bool outside = address < base_[last_] || (simulation_->sizes != nullptr &&
                                                    address - base_[last_] + bytes > simulation_->sizes[argument]);
    if (outside) fault_ = complaint;
    return outside ? -1 : argument;
  }

  const gsic_simulation *simulation_ = nullptr;
  uint64_t base_[kMostArguments + 1];
  int argument_[kMostArguments];
  int count_ = 0, last_ = 0;
  uint64_t launch_ = 0;
  uint64_t kept_[kMostArguments][kKept] = {};
  const char *fault_ = nullptr;
};

}  // namespace gsic

#endif
