// How a caller runs a kernel of the host dialect (dialect/host.h): the GPU's source, compiled for this machine, one
// workgroup after another, its lanes in lockstep. Plain C, so that the mock driver and tests share it.
#ifndef GSIC_SIMULATION_H
#define GSIC_SIMULATION_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// One launch, and what is to be counted in it.
typedef struct gsic_simulation {
  uint32_t workgroups;          ///< grid x
  uint32_t threads;             ///< block x: a multiple of the wave
  uint32_t lds;                 ///< bytes of LDS that the manifest promises; a kernel that takes more fails
  uint32_t arguments;           ///< how many pointers the kernel takes
  const uint64_t *sizes;        ///< [arguments] bytes from each pointer to its allocation's end; null: unchecked
  uint64_t *loaded, *stored;    ///< [arguments] bytes of global memory, added up per argument; null: not
                                ///< counted. What caches keep is counted when it is fetched
  char *message;                ///< receives what went wrong, with a closing NUL
  uint32_t message_bytes;       ///< room in `message`
  const uint8_t *const *stale;  ///< [arguments] what a scalar load finds at a pointer in place of what is there: a
                                ///< cache that the host's copy did not invalidate; null, or null for one: what is there
} gsic_simulation;

/// A kernel of the host dialect: `arguments[i]` points to its i-th pointer. Returns 0, or 1 and a message: an access
/// out of bounds, a barrier that not all lanes reach, too much LDS. Not to be called by two threads at once.
typedef int (*gsic_simulated_kernel)(const gsic_simulation *simulation, void *const *arguments);

#ifdef __cplusplus
}
#endif

#endif
