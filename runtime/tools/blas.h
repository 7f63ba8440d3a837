// OpenBLAS, and the right kernels of it for this CPU.
#ifndef GSIC_TOOLS_BLAS_H
#define GSIC_TOOLS_BLAS_H

namespace gsic {

/// OpenBLAS picks its kernels before main, and takes CPUs that it does not know for AVX2 ones (0.3.21: Zen 4 and 5;
/// AVX-512 kernels double its speed there). Where this CPU has AVX-512 and OpenBLAS did not notice, starts this
/// program again with OPENBLAS_CORETYPE set; otherwise, or if the user has set it, does nothing.
void choose_blas_kernels(char **arguments);

}  // namespace gsic

#endif
