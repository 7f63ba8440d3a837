// What kernels of every shape share. A core is a class of functions whose code depends on a weight type, and at most on
// how long a short row is: shapes reach it as arguments, once for many rows.
//
// A kernel's source includes the cores, so that it compiles alone. With GSIC_CORES_APART they are only declared: a
// bundle's kernels are then linked with objects that hold each core once,
//   #include "gsic/cores/tiles.h"
//   template struct gsic::TileCore<gsic::bf16, 18>;
// and their bits are the same: no sum is reordered in either case.
#ifndef GSIC_CORE_H
#define GSIC_CORE_H

/// Of a core's class: what it has is not for those that load the kernels.
#define GSIC_CORE __attribute__((visibility("hidden")))

#endif
