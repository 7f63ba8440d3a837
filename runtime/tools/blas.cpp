#include "blas.h"

#include <cblas.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "device.h"

namespace gsic {

void choose_blas_kernels(char **arguments) {
  const std::string core = openblas_get_corename();
  const bool wide = core == "SkylakeX" || core == "Cooperlake" || core == "Sapphirerapids";
  if (wide || std::getenv("OPENBLAS_CORETYPE") != nullptr) return;
  if (!missing_cpu_feature({"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512cd", "fma"}).empty()) return;
  setenv("OPENBLAS_CORETYPE", "SKYLAKEX", 1);
  execv("/proc/self/exe", arguments);
  // If that fails, the kernels that OpenBLAS chose are slower, but right.
}

}  // namespace gsic
