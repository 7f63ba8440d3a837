// What is not a projection: embeddings and norms.
#ifndef GSIC_LAYERS_H
#define GSIC_LAYERS_H

#include "gsic/multiply.h"

namespace gsic {

/// y += row `index` of a packed table [Out, D]; y has stride_of(D) elements.
template <class M> inline void add_row(M table, int index, float *y) {
  const uint8_t *tile = table.tile(index / kTileRows);
  for (int block = 0; block < M::blocks; block++)
    for (int step = 0; step < M::type::steps; step++) {
      f32x16 w[2];
      M::type::decode(tile + (block * kTileRows + index % kTileRows) * M::type::bytes, step, w);
      float *out = y + (block * M::type::steps + step) * 32;
      store(out, add(load(out), w[0]));
      store(out + 16, add(load(out + 16), w[1]));
    }
}

inline void clear(float *y, int width) {
  for (int i = 0; i < width; i += kLanes) store(y + i, zero());
}

inline float sum_of(const float *x, int width) {
  f32x16 sum = zero();
  for (int i = 0; i < width; i += kLanes) sum = add(sum, load(x + i));
  return reduce(sum);
}

/// The sum of (x - mean)^2 over the first `width` elements.
inline float squares_of(const float *x, int width, float mean) {
  f32x16 sum = zero();
  int i = 0;
  for (; i + kLanes <= width; i += kLanes) {
    const f32x16 centred = add(load(x + i), broadcast(-mean));
    sum = fma(centred, centred, sum);
  }
  float total = reduce(sum);
  for (; i < width; i++) total += (x[i] - mean) * (x[i] - mean);
  return total;
}

/// y = (x - mean) * scale * gain + bias, over the whole stride; gain and bias are zero beyond the width.
inline void scale_shift(const float *x, float mean, float scale, const float *gain, const float *bias, float *y,
                        int stride) {
  for (int i = 0; i < stride; i += kLanes) {
    const f32x16 normal = multiply(add(load(x + i), broadcast(-mean)), broadcast(scale));
    const f32x16 scaled = multiply(normal, load(gain + i));
    store(y + i, bias ? add(scaled, load(bias + i)) : scaled);
  }
}

template <int Width> inline void rms_norm(const float *x, const float *gain, float epsilon, float *y) {
  const float mean_square = squares_of(x, Width, 0.0f) / Width;
  scale_shift(x, 0.0f, 1.0f / __builtin_sqrtf(mean_square + epsilon), gain, nullptr, y, stride_of(Width));
}

template <int Width>
inline void layer_norm(const float *x, const float *gain, const float *bias, float epsilon, float *y) {
  const float mean = sum_of(x, stride_of(Width)) / Width;
  const float variance = squares_of(x, Width, mean) / Width;
  scale_shift(x, mean, 1.0f / __builtin_sqrtf(variance + epsilon), gain, bias, y, stride_of(Width));
}

}  // namespace gsic

#endif
