// What is not a projection: embeddings and norms.
#ifndef GSIC_LAYERS_H
#define GSIC_LAYERS_H

#include "gsic/multiply.h"

namespace gsic {

/// y += scale * row `index` of a packed table [Out, D]; y has stride_of(D) elements.
template <class M> inline void add_row(M table, int index, float scale, float *y) {
  for (int block = 0; block < table.blocks; block++) {
    f32x16 w[2];
    table.decode_row(index, block, w);
    float *out = y + block * kBlock;
    store(out, fma(w[0], broadcast(scale), load(out)));
    store(out + 16, fma(w[1], broadcast(scale), load(out + 16)));
  }
}

template <class M> inline void add_row(M table, int index, float *y) { add_row(table, index, 1.0f, y); }

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

/// y = (x - mean) * scale * gain + bias + residual, over the whole stride; all but x are zero beyond the width.
inline void scale_shift(const float *x, float mean, float scale, const float *gain, const float *bias,
                        const float *residual, float *y, int stride) {
  for (int i = 0; i < stride; i += kLanes) {
    const f32x16 normal = multiply(add(load(x + i), broadcast(-mean)), broadcast(scale));
    f32x16 value = multiply(normal, load(gain + i));
    if (bias) value = add(value, load(bias + i));
    store(y + i, residual ? add(value, load(residual + i)) : value);
  }
}

inline void rms_norm(int width, const float *x, const float *gain, float epsilon, float *y,
                     const float *residual = nullptr) {
  const float mean_square = squares_of(x, width, 0.0f) / float(width);
  scale_shift(x, 0.0f, 1.0f / __builtin_sqrtf(mean_square + epsilon), gain, nullptr, residual, y, stride_of(width));
}

inline void layer_norm(int width, const float *x, const float *gain, const float *bias, float epsilon, float *y,
                       const float *residual = nullptr) {
  const float mean = sum_of(x, stride_of(width)) / float(width);
  const float variance = squares_of(x, width, mean) / float(width);
  scale_shift(x, mean, 1.0f / __builtin_sqrtf(variance + epsilon), gain, bias, residual, y, stride_of(width));
}

/// x = x / sqrt(mean(x^2) + epsilon) * gain for one head of `width` channels, in place, with others beside it.
inline void normalize_head(int width, float *x, const float *gain, float epsilon) {
  const float scale = 1.0f / __builtin_sqrtf(squares_of(x, width, 0.0f) / float(width) + epsilon);
  for (int i = 0; i < width; i++) x[i] = x[i] * scale * gain[i];
}

}  // namespace gsic

#endif
