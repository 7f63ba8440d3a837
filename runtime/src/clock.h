// The time that durations are measured by.
#ifndef GSIC_SRC_CLOCK_H
#define GSIC_SRC_CLOCK_H

#include <chrono>

namespace gsic {

/// Seconds on a steady clock.
inline double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace gsic

#endif
