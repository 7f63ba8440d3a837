// Reading and nothing else: how fast a device can read memory at all.
#ifndef GSIC_GPU_READ_H
#define GSIC_GPU_READ_H

#include "gsic/dialect/gpu.h"

namespace gsic {

/// The sum of a wave's lanes, modulo 2^32.
template <int First = 1> inline uint32_t wave_total(uint32_t value) {
  if constexpr (First < kWave) {
    value += bits_as<uint32_t>(shuffle_xor<First>(bits_as<float>(value)));
    return wave_total<2 * First>(value);
  } else {
    return value;
  }
}

/// Reads `bytes` bytes, a multiple of 16, with `Depth` loads of 16 bytes in flight a lane. The sum of their 32-bit
/// words, modulo 2^32, is that of sink [workgroups, Waves], so that no load is left out.
template <int Waves, int Depth> inline void read_all(const u32x4 *data, uint64_t bytes, uint32_t *sink) {
  const uint64_t lanes = uint64_t(Waves) * kWave, stride = lanes * uint64_t(workgroup_count()), count = bytes / 16;
  uint64_t i = lanes * uint64_t(workgroup_index()) + uint64_t(thread_index());
  uint32_t sum[4] = {};
  GSIC_KEEP_LOOP
  for (; i + (Depth - 1) * stride < count; i += Depth * stride) {
    u32x4 words[Depth];
    GSIC_UNROLL
    for (int j = 0; j < Depth; j++) words[j] = load_once(data + i + j * stride);
    GSIC_UNROLL
    for (int j = 0; j < Depth; j++)
      for (int k = 0; k < 4; k++) sum[k] += words[j].v[k];
  }
  GSIC_KEEP_LOOP
  for (; i < count; i += stride) {
    const u32x4 word = load_once(data + i);
    for (int k = 0; k < 4; k++) sum[k] += word.v[k];
  }
  const uint32_t total = wave_total(sum[0] + sum[1] + sum[2] + sum[3]);
  if (lane_index() == 0) store(sink + workgroup_index() * Waves + wave_index(), total);
}

}  // namespace gsic

#endif
