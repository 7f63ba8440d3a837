// What a kernel of gsic and its caller agree on. Plain C, so that any runtime can call the emitted kernels.
#ifndef GSIC_ABI_H
#define GSIC_ABI_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GSIC_KERNEL_ABI 2

/// Most tokens (columns) of one pass.
#define GSIC_MAX_COLUMNS 16

/// Most queries that attention takes through the cache together, where their scores have room in a worker's scratch.
#define GSIC_MAX_QUERIES 16

/// A value is [GSIC_MAX_COLUMNS, stride] f32, stride = width rounded up to this many floats; the rest is zero.
#define GSIC_WIDTH_STEP 32

/// One token of a pass. The KV cache of a sequence lies in blocks of as many positions each as the manifest says, in
/// any order. A table says where: element i of it is the place of block i from where the cache buffer begins, in
/// floats.
typedef struct gsic_column {
  int32_t token;     ///< its id
  int32_t position;  ///< in its sequence
  int32_t first;  ///< the first column of its run: neighbouring columns with consecutive positions of one sequence; all
                  ///< columns of a sequence are one run
  int32_t table;  ///< where its sequence's table begins: int64_t elements behind the begin of the gsic_step
} gsic_column;

/// What changes from one pass to the next. Every kernel takes a pointer to it as its first argument. Behind it, in the
/// same buffer, lie the tables of the sequences. On a GPU the host writes it between two
/// replays of a graph: kernels read it, and the tables, by `load_fresh` (dialect/gpu.h).
typedef struct gsic_step {
  int32_t columns;  ///< tokens in this pass, 1 to GSIC_MAX_COLUMNS
  uint32_t wanted;  ///< bit j is set where the logits of column j are wanted
  int32_t reserved[2];
  gsic_column column[GSIC_MAX_COLUMNS];
} gsic_step;

/// What a GPU's kernel leaves of a column whose token it chose, and the place and token that it read in the step: the
/// host compares them with what it wrote.
typedef struct gsic_choice {
  int32_t id;  ///< the lowest id among the largest logits; -1 where a logit is not finite
  int32_t position;
  int32_t token;
  int32_t reserved;
} gsic_choice;

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
