// What a kernel of gsic and its caller agree on. Plain C, so that any runtime can call the emitted kernels.
#ifndef GSIC_ABI_H
#define GSIC_ABI_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GSIC_KERNEL_ABI 1

/// Most tokens (columns) of one pass.
#define GSIC_MAX_COLUMNS 16

/// Most queries that attention takes through the cache together, where their scores have room in a worker's scratch.
#define GSIC_MAX_QUERIES 16

/// A value is [GSIC_MAX_COLUMNS, stride] f32, stride = width rounded up to this many floats; the rest is zero.
#define GSIC_WIDTH_STEP 32

/// What changes from one pass to the next. Every kernel takes a pointer to it as its first argument.
typedef struct gsic_step {
  int32_t columns;      ///< tokens in this pass, 1 to GSIC_MAX_COLUMNS
  int32_t position;     ///< position of column 0; column j stands at position + j
  int32_t first_logit;  ///< first column whose logits are wanted; `columns` if none
  int32_t reserved;
  int32_t tokens[GSIC_MAX_COLUMNS];  ///< token ids
} gsic_step;

/// One of `count` workers that share a launch on a CPU. Workers meet at a barrier after every launch.
typedef struct gsic_worker {
  uint32_t index;
  uint32_t count;
  float *scratch;           ///< private memory of this worker
  uint64_t scratch_floats;  ///< at least the model's context, and at least 4096; GSIC_MAX_QUERIES times that is faster
} gsic_worker;

/// An emitted CPU kernel. `arguments` holds the pointers that the manifest lists for the launch.
/// Results do not depend on `count`, nor on how many columns run together.
typedef void (*gsic_cpu_kernel)(const gsic_worker *worker, void *const *arguments);

#ifdef __cplusplus
}
#endif

#endif
