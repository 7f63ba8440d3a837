// Matrices on GPUs: tiles of four rows, in the planes of weights.h and checkpoint.h.
#ifndef GSIC_GPU_MATRIX_H
#define GSIC_GPU_MATRIX_H

#include "gsic/gpu/checkpoint.h"

namespace gsic {

constexpr int kTileRows = 4;

/// Whether the sum of a row is multiplied by a scale of the row's own, as quantized.h has it.
template <class W> constexpr bool is_row_scaled = false;

/// A matrix [Out, D] in tiles of four rows; with a low-rank factor [Out, Rank] in the same tiles, if Rank > 0.
template <class W, int Out, int D, int Rank = 0> struct Matrix {
  using type = W;
  static constexpr int out = Out, d = D, rank = Rank;
  static constexpr int units = (D + W::elements - 1) / W::elements;
  static constexpr int tiles = (Out + kTileRows - 1) / kTileRows;
  static constexpr int planes = int(sizeof(W::planes) / sizeof(Plane));
  static constexpr int64_t plane_bytes(int p) {
    const int64_t runs = (units + W::planes[p].units - 1) / W::planes[p].units;
    return (runs * kTileRows * W::planes[p].bytes + 15) / 16 * 16;
  }
  static constexpr int64_t plane_begin(int p) { return p == 0 ? 0 : plane_begin(p - 1) + plane_bytes(p - 1); }
  static constexpr int64_t row_scales_begin = plane_begin(planes);
  static constexpr int64_t low_rank_begin = row_scales_begin + (is_row_scaled<W> ? kTileRows * 4 : 0);
  static constexpr int low_rank_elements = 16, low_rank_units = (Rank + low_rank_elements - 1) / low_rank_elements;
  static constexpr int64_t tile_bytes =
      low_rank_begin + (Rank > 0 ? kTileRows * (4 + low_rank_units * low_rank_elements) : 0);
  const uint8_t *data;

  explicit Matrix(const void *pointer) : data(static_cast<const uint8_t *>(pointer)) {}

  UnitAddress at(int row, int unit) const { return at(row / kTileRows, row % kTileRows, unit); }
  UnitAddress at(int tile, int row, int unit) const {
    UnitAddress address;
    place<0>(data + tile * tile_bytes, row, unit, address);
    return address;
  }
  /// Of ordered types the input of each column.
  const int32_t *order() const { return reinterpret_cast<const int32_t *>(data + tiles * tile_bytes); }
  float row_scale(int tile, int row) const { return float_at(tile, row_scales_begin, row); }
  float low_rank_scale(int tile, int row) const { return float_at(tile, low_rank_begin, row); }
  /// Sixteen i8 of a row of the low-rank factor.
  u32x4 low_rank(int tile, int row, int unit) const {
    return sixteen_at(data + tile * tile_bytes + low_rank_begin + 16 * (1 + unit * kTileRows + row));
  }

 private:
  float float_at(int tile, int64_t begin, int row) const {
    return load(reinterpret_cast<const float *>(data + tile * tile_bytes + begin) + row);
  }
  template <int P> static void place(const uint8_t *tile, int row, int unit, UnitAddress &address) {
    if constexpr (P < planes) {
      constexpr int bytes = W::planes[P].bytes, shared = W::planes[P].units;
      constexpr int64_t begin = plane_begin(P);
      address.plane[P] = tile + begin + uint32_t(unit / shared * kTileRows + row) * bytes;
      place<P + 1>(tile, row, unit, address);
    }
  }
};

}  // namespace gsic

#endif
