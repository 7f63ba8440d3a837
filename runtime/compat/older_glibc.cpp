// Linked into what comes compiled (compiler/testing/prebuilt): the few functions that the static libraries of the
// machine that links want, and that glibc 2.28, or a machine without Fortran, has not.
#include <dlfcn.h>
#include <pthread.h>
#include <sys/random.h>
#include <time.h>

#include <cstddef>
#include <cstdlib>

namespace {

constexpr long kSecond = 1'000'000'000;

/// The time on the wall when `clock` will show `when`.
timespec on_the_wall(clockid_t clock, const timespec &when) {
  timespec now, wall;
  clock_gettime(clock, &now);
  clock_gettime(CLOCK_REALTIME, &wall);
  wall.tv_sec += when.tv_sec - now.tv_sec;
  wall.tv_nsec += when.tv_nsec - now.tv_nsec;
  wall.tv_sec += wall.tv_nsec >= kSecond ? 1 : wall.tv_nsec < 0 ? -1 : 0;
  wall.tv_nsec += wall.tv_nsec >= kSecond ? -kSecond : wall.tv_nsec < 0 ? kSecond : 0;
  return wall;
}

}  // namespace

extern "C" {

/// glibc 2.32; libstdc++ counts references without atomics where it is set. Here they are always atomic.
char __libc_single_threaded = 0;

/// glibc 2.36; libstdc++'s random_device calls it.
unsigned arc4random() {
  unsigned value = 0;
  if (getentropy(&value, sizeof(value)) != 0) std::abort();
  return value;
}

/// glibc 2.30; std::condition_variable waits by it. Where there is none, a wait ends early or late if the time on the
/// wall is set meanwhile; who waits looks again.
int pthread_cond_clockwait(pthread_cond_t *condition, pthread_mutex_t *mutex, clockid_t clock, const timespec *when) {
  using Wait = int (*)(pthread_cond_t *, pthread_mutex_t *, clockid_t, const timespec *);
  static const auto of_system = reinterpret_cast<Wait>(dlsym(RTLD_NEXT, "pthread_cond_clockwait"));
  if (of_system != nullptr) return of_system(condition, mutex, clock, when);
  const timespec wall = on_the_wall(clock, *when);
  return pthread_cond_timedwait(condition, mutex, &wall);
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
