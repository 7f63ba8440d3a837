// Linked into what comes compiled (compiler/testing/prebuilt): the few functions that the static libraries of the
// machine that links want, and that glibc 2.28, or a machine without Fortran, has not.
#include <sys/random.h>

#include <cstddef>
#include <cstdlib>

extern "C" {

/// glibc 2.32; libstdc++ counts references without atomics where it is set. Here they are always atomic.
char __libc_single_threaded = 0;

/// glibc 2.36; libstdc++'s random_device calls it.
unsigned arc4random() {
  unsigned value = 0;
  if (getentropy(&value, sizeof(value)) != 0) std::abort();
  return value;
}

/// Fortran's `//`: LAPACK puts names of routines together with it. What is left of `out` is blanks.
void _gfortran_concat_string(size_t size, char *out, size_t first_size, const char *first, size_t second_size,
                             const char *second) {
  for (size_t at = 0; at < size; at++) {
    const size_t behind = at < first_size ? 0 : at - first_size;
    out[at] = at < first_size ? first[at] : behind < second_size ? second[behind] : ' ';
  }
}

/// The processor time that LAPACK's SECOND and DSECND ask for; nothing here calls them.
float _gfortran_etime(float *) { return 0; }
}
