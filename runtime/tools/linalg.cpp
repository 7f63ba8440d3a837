// gsic-tool linalg [--threads N]
// Answers requests until standard input ends. A request is one line of JSON, then its arrays, f32 little endian,
// row-major, one behind the other. An answer is one line of JSON, {"ok":true,...} or {"ok":false,"error":...}, and
// after {"ok":true,...} the result's arrays, f32 unless said. After {"ok":false} the program goes on; the request's
// arrays were read.
//
//   {"op":"eigh","d":D,"k":K}                     C [D,D] symmetric   -> values [K], vectors [K,D]
//   {"op":"nystrom","d":D,"l":L,"k":K,"seed":S}   Y [D,L] = C Omega   -> values [K], vectors [K,D]
//   {"op":"sketch","d":D,"l":L,"seed":S}          C [D,D] symmetric   -> Y [D,L] = C Omega
//   {"op":"captured","d":D,"k":K}                 C [D,D], V [K,D]    -> v^T C v of every row v of V [K]
//   {"op":"matmul","m":M,"n":N,"k":K,"transpose_a":bool,"transpose_b":bool}
//                                        A [M,K] (or [K,M] if transposed), B [K,N] (or [N,K])  -> C [M,N]
//   {"op":"subspace_survey","n":N,"d":D,"out":R,"ks":[K1,K2,...]}   X [N,D], V^T [last K,D], W [R,D]
//                      -> ||x||^2 [N], rho = ||r|| / ||x|| [ks,N], ||W r||^2 [ks,N], r = x - V V^T x of K columns of V
//   {"op":"tier_survey","n":N,"d":D,"out":R,"projections":P}        X [N,D], E [R,D], S [P,D]
//                      -> ||E x||^2 [N], ||S x||^2 [N], ||x||^2 [N]; survey.h has more about both
//
//   {"op":"quantize","d":D,"matrices":[{"out":R,"bits":B,"group":G,"symmetric":bool},...],"k":K,"search":bool,
//    "feedback":bool,"damping":X,"rounds":N,"losses":bool,"projections":P,"projection_seed":S,"samples":T}
//        C [D,D], the weights W of all matrices [sum of R,D], samples [T,D]
//        -> "errors" and "energies" of each matrix in the header: E||(W - Q - A B^T) x||^2 and E||W x||^2, unless
//           "losses" is false; then for each matrix q u8 [R,D], scales i8 [R,ceil(D/G)], zeros u8 [R,ceil(D/G)] unless
//           symmetric, row scales [R], and if K > 0 A i8 [R,K] with its row scales [R]; if K > 0 B^T [K,D] as a matrix
//           of 8 bits, groups of 64, symmetric; if P > 0 S [P,D] likewise; if T > 0 ||E x||^2, ||S x||^2 and ||x||^2 of
//           the samples [3,T].
//    With "l":L, "seed" and "mean_squared_norm", in the place of C its sketch Y [D,L]. The bytes do not depend on the
//    number of threads.
//
//   {"op":"tier_losses","d":D,"matrices":[as above],"variants":[{"bits":B,"group":G,"symmetric":bool,"k":K,
//    "sampled":bool},...],"search":bool,"feedback":bool,"damping":X,"rounds":N,"tokens":T}
//        C [D,D] or its sketch as above, the weights W of all matrices [sum of R,D], X [T,D], G [T,R] of each matrix
//        -> in the header, by variant and matrix, what it would lose: "errors" as above, and "divergences" in nats per
//           token, the mean over the tokens of the sum of (G E x)^2 / 2 over the outputs, E = W - Q - A B^T;
//           then ||E x||^2 of all matrices together [T] by variant. Where "sampled", the errors are those of some rows
//           alone, evenly spaced, and the others are zero.
//
//   {"op":"blocks","d":D,"matrices":[{"out":R,"type":"q4_k"},...],"feedback":bool,"damping":X,
//    "shrinkage":S,"plain":bool}
//        C [D,D] or its sketch as above, and the weights W of all matrices [sum of R,D]
//        -> of each matrix its rows in GGUF's blocks of that type, u8. Where "plain", there is no C: all columns count
//           alike, and nothing is fed back.
//
//   {"op":"block_losses","d":D,"matrices":[{"out":R},...],"types":["q4_k",...],"sampled":bool,"feedback":bool,
//    "damping":X,"shrinkage":S,"tokens":T}
//        C or its sketch, the weights W [sum of R,D], X [T,D], G [T,R] of each matrix
//        -> in the header, by type and matrix, "errors" and "divergences" as of tier_losses, with E = W - Q. Where
//           "sampled", of some rows alone, evenly spaced.
//
// Values are the K largest eigenvalues, largest first; row i of vectors is the unit eigenvector of value i. They are
// computed in double, and vectors that are not orthonormal are an error. Omega is that of sketch.h. A header that
// cannot be understood ends the program, since what follows cannot be found.
#include "linalg.h"

#include <cblas.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <functional>
#include <nlohmann/json.hpp>

#include "arguments.h"
#include "error.h"
#include "lapack.h"
#include "survey.h"
#include "thread_pool.h"

namespace gsic {
namespace {

using nlohmann::json;
using Matrix = std::vector<float>;

constexpr uint64_t kMostRows = 1u << 18;
constexpr uint64_t kMostElements = uint64_t(1) << 31;

}  // namespace

void refuse(const std::string &what) { throw Error(GSIC_INVALID_ARGUMENT, "linalg: " + what); }

uint64_t dimension(const json &request, const char *key, uint64_t least) {
  const auto found = request.find(key);
  if (found == request.end() || !found->is_number_unsigned() || *found < least || *found > kMostRows)
    refuse(std::string("'") + key + "' is not an integer from " + std::to_string(least) + " to " +
           std::to_string(kMostRows));
  return found->get<uint64_t>();
}

/// `ks`, ascending, from 1 to d.
std::vector<size_t> ranks(const json &request, uint64_t d) {
  std::vector<size_t> ks;
  const auto found = request.find("ks");
  if (found == request.end() || !found->is_array() || found->empty()) refuse("'ks' is not a list of integers");
  for (const json &k : *found) {
    const bool ascends = k.is_number_unsigned() && k > (ks.empty() ? 0 : ks.back()) && k <= d;
    if (!ascends) refuse("'ks' does not ascend from 1 to d at most");
    ks.push_back(k.get<size_t>());
  }
  return ks;
}

uint64_t seed_of(const json &request) {
  const auto found = request.find("seed");
  if (found == request.end() || !found->is_number_unsigned()) refuse("'seed' is not an unsigned integer");
  return found->get<uint64_t>();
}

MomentInput read_moment(const json &header, uint64_t d) {
  MomentInput input;
  input.d = d;
  input.sketched = header.contains("l");
  if (input.sketched) {
    input.width = dimension(header, "l");
    input.seed = seed_of(header);
    input.mean_squared_norm = header.value("mean_squared_norm", 0.0);
    if (input.width > d) refuse("l must not exceed d");
  }
  input.values = read_matrix(d, input.sketched ? input.width : d);
  return input;
}

SecondMoment moment_of(const MomentInput &input) {
  return input.sketched ? sketched_moment(input.values, input.d, input.width, input.seed, input.mean_squared_norm)
                        : exact_moment(input.values, input.d);
}

Matrix read_matrix(uint64_t rows, uint64_t columns) {
  if (rows * columns > kMostElements) refuse("a matrix has more than 2^31 elements");
  Matrix matrix(rows * columns);
  if (std::fread(matrix.data(), sizeof(float), matrix.size(), stdin) != matrix.size())
    refuse("standard input ends inside a matrix of " + std::to_string(rows) + " x " + std::to_string(columns));
  return matrix;
}

namespace {

void write_bytes(const void *data, size_t bytes) {
  if (std::fwrite(data, 1, bytes, stdout) != bytes) throw Error(GSIC_IO, "linalg: standard output is closed");
}

void write_line(const json &line) {
  const std::string text = line.dump() + "\n";
  write_bytes(text.data(), text.size());
}

void require_finite(const Matrix &matrix) {
  if (!std::all_of(matrix.begin(), matrix.end(), [](float value) { return std::isfinite(value); }))
    throw Error(GSIC_INVALID_ARGUMENT, "linalg: the matrix holds values that are no finite numbers");
}

std::vector<double> widened(const Matrix &matrix) {
  require_finite(matrix);
  return {matrix.begin(), matrix.end()};
}

Matrix narrowed(const std::vector<double> &values) { return {values.begin(), values.end()}; }

std::vector<Matrix> checked(const Eigen &eigen, uint64_t d) {
  require_orthonormal(eigen.vectors, d, eigen.values.size());
  return {narrowed(eigen.values), narrowed(eigen.vectors)};
}

/// In slabs of rows of C, each on one thread: the bits do not depend on how many there are.
std::vector<Matrix> multiply(const json &request, const Matrix &a, const Matrix &b, bool transpose_a,
                             bool transpose_b) {
  constexpr size_t kSlab = 128;
  const size_t m = dimension(request, "m"), n = dimension(request, "n"), k = dimension(request, "k");
  Matrix c(m * n);
  each_slab((m + kSlab - 1) / kSlab, [&](size_t slab) {
    const size_t first = slab * kSlab, rows = std::min(kSlab, m - first);
    cblas_sgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans, transpose_b ? CblasTrans : CblasNoTrans,
                int(rows), int(n), int(k), 1, a.data() + first * (transpose_a ? 1 : k), int(transpose_a ? m : k),
                b.data(), int(transpose_b ? k : n), 0, c.data() + first * n, int(n));
  });
  return {std::move(c)};
}

/// Reads the arrays of a request that is answered by matrices of f32, then returns what computes its answer.
std::function<std::vector<Matrix>()> read_matrices(const json &request) {
  const std::string op = request.value("op", "");
  if (op == "matmul") {
    const uint64_t m = dimension(request, "m"), n = dimension(request, "n"), k = dimension(request, "k");
    const bool left = request.value("transpose_a", false), right = request.value("transpose_b", false);
    Matrix a = read_matrix(m, k), b = read_matrix(k, n);
    return [=, a = std::move(a), b = std::move(b)] { return multiply(request, a, b, left, right); };
  }
  const uint64_t d = dimension(request, "d");
  if (op == "sketch") {
    const uint64_t l = dimension(request, "l"), seed = seed_of(request);
    return [=, c = read_matrix(d, d)] { return std::vector<Matrix>{narrowed(sketch_of(widened(c), seed, d, l))}; };
  }
  if (op == "subspace_survey") {
    const uint64_t n = dimension(request, "n"), out = dimension(request, "out");
    const std::vector<size_t> ks = ranks(request, d);
    Matrix x = read_matrix(n, d), v = read_matrix(ks.back(), d), w = read_matrix(out, d);
    return [=, x = std::move(x), v = std::move(v), w = std::move(w)] {
      for (const Matrix *matrix : {&x, &v, &w}) require_finite(*matrix);
      return subspace_survey(x, v, w, d, ks);
    };
  }
  if (op == "tier_survey") {
    const uint64_t n = dimension(request, "n"), out = dimension(request, "out"), p = dimension(request, "projections");
    Matrix x = read_matrix(n, d), e = read_matrix(out, d), s = read_matrix(p, d);
    return [=, x = std::move(x), e = std::move(e), s = std::move(s)] {
      for (const Matrix *matrix : {&x, &e, &s}) require_finite(*matrix);
      return tier_survey(x, e, s, d);
    };
  }
  const uint64_t k = dimension(request, "k");
  if (k > d) refuse("k must not exceed d");
  if (op == "eigh")
    return [=, c = read_matrix(d, d)] {
      std::vector<double> matrix = widened(c);
      return checked(largest_eigen(matrix, d, k), d);
    };
  if (op == "captured") {
    Matrix c = read_matrix(d, d), v = read_matrix(k, d);
    return [=, c = std::move(c), v = std::move(v)] {
      return std::vector<Matrix>{narrowed(captured_energy(widened(c), widened(v), d, k))};
    };
  }
  if (op != "nystrom")
    refuse(
        "'" + op +
        "' is not one of eigh, nystrom, sketch, captured, matmul, subspace_survey, tier_survey, quantize, tier_losses, "
        "blocks, block_losses");
  const uint64_t l = dimension(request, "l"), seed = seed_of(request);
  if (k > l || l > d) refuse("k must not exceed l, nor l exceed d");
  return [=, sketch = read_matrix(d, l)] {
    std::vector<double> y = widened(sketch);
    return checked(nystrom_eigen(seed, y, d, l, k), d);
  };
}

using RoundingReader = std::function<Answer()> (*)(const json &request, ThreadPool &pool);

/// Requests that round weights.
constexpr std::array<std::pair<const char *, RoundingReader>, 4> kRoundings = {{
    {"quantize", read_quantize},
    {"tier_losses", read_tier_losses},
    {"blocks", read_blocks},
    {"block_losses", read_block_losses},
}};

/// Reads a request's arrays, then returns what computes its answer.
std::function<Answer()> read_request(const json &request, ThreadPool &pool) {
  const int blas_threads = int(pool.size());
  const std::string op = request.value("op", "");
  const auto found =
      std::find_if(kRoundings.begin(), kRoundings.end(), [&](const auto &one) { return op == one.first; });
  if (found == kRoundings.end())
    return [compute = read_matrices(request)] {
      Answer answer;
      for (const Matrix &matrix : compute()) answer.add(matrix);
      return answer;
    };
  return [compute = found->second(request, pool), blas_threads] {
    // How OpenBLAS splits a product, and so its last bits, depends on its number of threads.
    openblas_set_num_threads(1);
    const BlasThreads restored{blas_threads};
    return compute();
  };
}

/// One line of standard input without its end; false where the input ends before it.
bool read_line(std::string &line) {
  line.clear();
  for (int c = std::getchar(); c != EOF; c = std::getchar()) {
    if (c == '\n') return true;
    if (line.size() > 4096) refuse("a request's header is longer than 4096 bytes");
    line.push_back(char(c));
  }
  if (!line.empty()) refuse("standard input ends inside a request's header");
  return false;
}

}  // namespace

void run_linalg(const Arguments &arguments) {
  const uint64_t threads = arguments.number("threads", 0, 1024, 0);
  ThreadPool pool(threads == 0 ? usable_cpus() : uint32_t(threads));
  openblas_set_num_threads(int(pool.size()));
  for (std::string line; read_line(line);) {
    const json request = json::parse(line, nullptr, false);
    if (!request.is_object()) refuse("a request's header is not a JSON object: " + line);
    const auto compute = read_request(request, pool);
    try {
      Answer answer = compute();
      answer.fields["ok"] = true;
      write_line(answer.fields);
      for (const std::vector<uint8_t> &bytes : answer.arrays) write_bytes(bytes.data(), bytes.size());
    } catch (const Error &error) {
      if (error.status() == GSIC_IO) throw;
      write_line({{"ok", false}, {"error", error.what()}});
    }
    std::fflush(stdout);
  }
}

}  // namespace gsic
