// Linears of every shape, weight type and form: y = f(W x + b) + residual, and y = f(W_gate x + b_gate) (W_up x +
// b_up).
#include "gsic/gate.h"
#include "gsic/generic/matrix.h"
#include "gsic/math.h"

namespace gsic {
namespace generic {
namespace {

float activate(Activation activation, float x) {
  switch (activation) {
    case Activation::identity:
      return identity(x);
    case Activation::relu:
      return relu(x);
    case Activation::silu:
      return silu(x);
    case Activation::gelu:
      return gelu(x);
    case Activation::gelu_tanh:
      return gelu_tanh(x);
  }
  return x;
}

/// What a launch's columns are sorted by, and what its products are multiplied with.
struct Pass {
  Columns all;
  Decision tiers, exact;
  const float *x, *g;
  const Integers *integers;

  const Columns &which(Which of) const {
    switch (of) {
      case Which::tiers_closed:
        return tiers.closed;
      case Which::tiers_open:
        return tiers.open;
      case Which::exact_closed:
        return exact.closed;
      case Which::exact_open:
        return exact.open;
      case Which::all:
        break;
    }
    return all;
  }
};

/// The gate of the exact tier: as `decide` of quantized_gate.h.
Decision decide_exact(const gsic_worker &worker, const ExactShape &shape, const Columns &columns, const Pass &pass,
                      Arguments arguments) {
  const MatrixShape &projections = shape.projections;
  const FewBits matrix(projections, arguments[projections.argument]);
  const int stride = stride_of(projections.out), d = projections.d;
  auto *predicted = static_cast<float *>(GSIC_FRAME(sizeof(float) * GSIC_MAX_COLUMNS * size_t(stride)));
  const gsic_worker alone = {0, 1, nullptr, 0};
  const DotInput input = pass.integers->of(columns);
  DotResult result;
  for_each_dot_run(alone, matrix, [&](int first, int count) {
    matrix.run(first, count, input, result);
    for (int c = 0; c < columns.count; c++)
      for (int row = 0; row < count * kDotRows && first * kDotRows + row < matrix.out; row++)
        predicted[columns.index[c] * stride + first * kDotRows + row] = result.y[c][row];
  });
  Decision decision;
  for (int i = 0; i < columns.count; i++) {
    const int column = columns.index[i];
    const double norm = squared_norm(pass.x + column * stride_of(d), d);
    const double error = squared_norm(predicted + column * stride, projections.out);
    const double threshold = shape.threshold.value();
    (norm == 0 || error < threshold * threshold * norm ? decision.closed : decision.open).push(column);
  }
  count(worker, decision, argument<uint64_t>(arguments, shape.counters));
  return decision;
}

/// Gates and integers of a launch, in memory of the caller's frame.
void prepare(const ProjectShape &shape, const gsic_worker &worker, Arguments arguments, Integers *integers,
             Pass &pass) {
  const gsic_step &step = step_of(arguments);
  pass.all = shape.head ? wanted_columns(step) : all_columns(step);
  pass.x = static_cast<const float *>(arguments[1]);
  pass.g = argument<const float>(arguments, shape.gate.coordinates);
  pass.integers = integers;
  const MatrixShape &basis = shape.gate.basis;
  if (basis.argument != 0)
    pass.tiers = decide(worker, pass.all, Rows<f16>(basis, arguments[basis.argument]), pass.x, pass.g,
                        shape.gate.epsilon.value(), argument<uint64_t>(arguments, shape.gate.counters));
  if (integers != nullptr) {
    const Columns &columns = pass.which(shape.integer_columns);
    integers->set(columns, pass.x);
    if (shape.correction.argument != 0)
      integers->project(columns, shape.correction, arguments[shape.correction.argument]);
  }
  if (shape.exact.projections.argument != 0)
    pass.exact = decide_exact(worker, shape.exact, pass.which(shape.exact.which), pass, arguments);
}

/// Calls `use` with the launch's pass.
template <class Use>
__attribute__((noinline)) void with_pass(const ProjectShape &shape, const gsic_worker &worker, Arguments arguments,
                                         Use use) {
  Pass pass;
  if (shape.integers == 0) {
    prepare(shape, worker, arguments, nullptr, pass);
    return use(pass);
  }
  const int d = shape.integers, rank = shape.correction.argument == 0 ? 0 : shape.correction.out;
  Integers integers(d, rank, GSIC_FRAME(Integers::bytes(d, rank)));
  prepare(shape, worker, arguments, &integers, pass);
  use(pass);
}

/// Products with matrices at few bits that lie alike: as `each_run`.
template <int Matrices, class Each>
void each_integer_run(const gsic_worker &worker, const ProductShape *products, const Pass &pass, Arguments arguments,
                      Each each) {
  const DotInput input = pass.integers->of(pass.which(products[0].which));
  DotResult results[Matrices];
  const FewBits matrix(products[0].matrix, arguments[products[0].matrix.argument]);
  for_each_dot_run(worker, matrix, [&](int first, int count) {
    for (int m = 0; m < Matrices; m++)
      FewBits(products[m].matrix, arguments[products[m].matrix.argument]).run(first, count, input, results[m]);
    const int begin = first * kDotRows, left = matrix.out - begin;
    each(begin, left < count * kDotRows ? left : count * kDotRows,
         [&](int m, int c, int row) { return results[m].y[c][row]; });
  });
}

/// Calls `each(first, rows, at)` for runs of this worker's share of the rows of matrices with one shape; `at(m, c,
/// row)` is an element of matrix m's product with column number c. A frame of its own holds the products.
template <int Matrices, class Each>
__attribute__((noinline)) void each_run(const gsic_worker &worker, const ProductShape *products, const Pass &pass,
                                        Arguments arguments, Each each) {
  const Columns &columns = pass.which(products[0].which);
  if (columns.count == 0) return;
  if (products[0].matrix.type == Type::few_bits)
    return each_integer_run<Matrices>(worker, products, pass, arguments, each);
  const float *from = products[0].input == Input::coordinates ? pass.g : pass.x;
  Product *made[Matrices];
  int tile = 0;
  for (int m = 0; m < Matrices; m++) {
    const MatrixShape &matrix = products[m].matrix;
    made[m] = make_product(matrix, arguments[matrix.argument], columns, from,
                           GSIC_FRAME(product_bytes(matrix, columns.count)));
    tile = made[m]->tile_rows > tile ? made[m]->tile_rows : tile;
  }
  for_each_run(worker, products[0].matrix.out, tile, [&](int first, int rows) {
    for (int m = 0; m < Matrices; m++) made[m]->run(*made[m], first, rows);
    each(first, rows, [&](int m, int c, int row) { return made[m]->at(*made[m], c, row); });
  });
}

float with(float value, const float *bias, int row) { return bias == nullptr ? value : value + bias[row]; }

}  // namespace

void project(const ProjectShape &shape, const gsic_worker &worker, Arguments arguments) {
  auto *y = static_cast<float *>(arguments[2]);
  const auto *residual = argument<const float>(arguments, shape.residual);
  const int stride = stride_of(shape.width);
  with_pass(shape, worker, arguments, [&](const Pass &pass) {
    for (int i = 0; i < shape.products; i++) {
      const ProductShape &product = shape.product[i];
      const Columns &columns = pass.which(product.which);
      const auto *bias = argument<const float>(arguments, product.bias);
      each_run<1>(worker, &product, pass, arguments, [&](int first, int rows, auto at) {
        for (int c = 0; c < columns.count; c++)
          for (int row = 0; row < rows; row++) {
            const int place = columns.index[c] * stride + product.column + first + row;
            const float value = activate(shape.activation, with(at(0, c, row), bias, first + row));
            y[place] = residual == nullptr ? value : value + residual[place];
          }
      });
    }
  });
  clear_padding(worker, step_of(arguments), y, shape.width);
}

void glu(const ProjectShape &shape, const gsic_worker &worker, Arguments arguments) {
  auto *y = static_cast<float *>(arguments[2]);
  const int stride = stride_of(shape.width);
  with_pass(shape, worker, arguments, [&](const Pass &pass) {
    for (int i = 0; i < shape.products; i += 2) {
      const ProductShape *const pair = shape.product + i;
      const Columns &columns = pass.which(pair->which);
      const auto *gate_bias = argument<const float>(arguments, pair[0].bias);
      const auto *up_bias = argument<const float>(arguments, pair[1].bias);
      each_run<2>(worker, pair, pass, arguments, [&](int first, int rows, auto at) {
        for (int c = 0; c < columns.count; c++)
          for (int row = 0; row < rows; row++)
            y[columns.index[c] * stride + first + row] =
                activate(shape.activation, with(at(0, c, row), gate_bias, first + row)) *
                with(at(1, c, row), up_bias, first + row);
      });
    }
  });
  clear_padding(worker, step_of(arguments), y, shape.width);
}

}  // namespace generic
}  // namespace gsic
