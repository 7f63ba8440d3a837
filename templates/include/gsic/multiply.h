// y = W x for 1 to 16 columns, batch-invariant: one column is added up in the same order however many run together.
#ifndef GSIC_MULTIPLY_H
#define GSIC_MULTIPLY_H

#include "gsic/blocks.h"
#include "gsic/coded.h"
#include "gsic/tiles.h"

namespace gsic {

/// How the matrices of a type are packed and multiplied.
template <class W> struct Packing {
  template <int Out, int D> using Matrix = TileMatrix<W, Out, D>;
  template <class M> using Product = TileProduct<M>;
};
template <class Elements, class Scales> struct Packing<Block<Elements, Scales>> {
  template <int Out, int D> using Matrix = BlockMatrix<Block<Elements, Scales>, Out, D>;
  template <class M> using Product = BlockProduct<M>;
};
template <class W> struct Packing<ordered<W>> {
  template <int Out, int D> using Matrix = OrderedMatrix<W, Out, D>;
};
template <int Rare> struct Packing<coded_bf16<Rare>> {
  template <int Out, int D> using Matrix = CodedMatrix<Rare, Out, D>;
  template <class M> using Product = CodedProduct<M>;
};

/// A matrix [Out, D] of a weight type.
template <class W, int Out, int D> using Matrix = typename Packing<W>::template Matrix<Out, D>;
/// Its product with the columns of a pass, run by run.
template <class M> using Product = typename Packing<typename M::type>::template Product<M>;

/// Calls `each(first, rows)` for runs of this worker's share of the rows; a share is whole tiles of `tile` rows.
template <class Each> inline void for_each_run(const gsic_worker &worker, int out, int tile, Each each) {
  const Range tiles = share(worker, (out + tile - 1) / tile);
  const int last = tiles.end * tile < out ? tiles.end * tile : out;
  for (int first = tiles.begin * tile, end; first < last; first = end) {
    end = first / kRunRows * kRunRows + kRunRows;
    end = end < last ? end : last;
    each(first, end - first);
  }
}

/// y = W x; `store(row, column, value)` receives every output element once.
template <class M, class Store>
inline void multiply(const gsic_worker &worker, M matrix, const Columns &columns, const float *x, Store store) {
  if (columns.count == 0) return;
  Product<M> product(matrix, columns, x);
  for_each_run(worker, M::out, M::tile_rows, [&](int first, int rows) {
    product.run(matrix, first, rows);
    for (int c = 0; c < columns.count; c++)
      for (int row = 0; row < rows; row++) store(first + row, columns.index[c], product.at(c, row));
  });
}

/// Two matrices of the same shape on the same input: `store(row, column, first, second)`.
template <class A, class B, class Store>
inline void multiply_pair(const gsic_worker &worker, A a, B b, const Columns &columns, const float *x, Store store) {
  static_assert(A::out == B::out && A::d == B::d, "a pair has one shape");
  if (columns.count == 0) return;
  Product<A> products_a(a, columns, x);
  Product<B> products_b(b, columns, x);
  constexpr int tile = A::tile_rows > B::tile_rows ? A::tile_rows : B::tile_rows;
  for_each_run(worker, A::out, tile, [&](int first, int rows) {
    products_a.run(a, first, rows);
    products_b.run(b, first, rows);
    for (int c = 0; c < columns.count; c++)
      for (int row = 0; row < rows; row++)
        store(first + row, columns.index[c], products_a.at(c, row), products_b.at(c, row));
  });
}

}  // namespace gsic

#endif
