// The table of a library of kernels for all shapes: gsic finds it in the file by its marker, and fills it in
// (compiler/cc/generic.ts).
#ifndef GSIC_GENERIC_TABLE_H
#define GSIC_GENERIC_TABLE_H

#include "gsic/generic/shapes.h"

namespace gsic {
namespace generic {

enum class Kind : int32_t { embed, norm, project, glu, cache, attend, screen, rescore };

constexpr int kNameBytes = 96, kMostKernels = 512, kMostWords = 1 << 16;

struct Entry {
  char name[kNameBytes];
  Kind kind;
  int32_t first;  ///< its shape's first word
};

struct Table {
  char marker[32];
  int32_t most_kernels, most_words, kernels, reserved;
  Entry entries[kMostKernels];
  int32_t words[kMostWords];
};

/// In a source of its own, so that no compiler takes what it was compiled with for what is in the file.
extern Table table;

}  // namespace generic
}  // namespace gsic

#endif
