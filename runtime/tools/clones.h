// Functions that are compiled once for each of several instruction sets, of which the widest runs that this CPU has and
// that GSIC_CPU does not hide. Included where loops are optimised for speed and products stay apart from sums, so that
// all give the same bits.
#ifndef GSIC_TOOLS_CLONES_H
#define GSIC_TOOLS_CLONES_H

#include "device.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define GSIC_HAS_CLONES 1
#define GSIC_CLONE(set) __attribute__((flatten, target(set)))
#else
#define GSIC_HAS_CLONES 0
#endif

namespace gsic {

template <auto function> struct Clones;

/// `Clones<&f>::call` is f.
template <class Result, class... Arguments, Result (*function)(Arguments...)> struct Clones<function> {
#if GSIC_HAS_CLONES
  static Result call(Arguments... arguments) {
    static Result (*const widest)(Arguments...) = runs("avx512f") ? &avx512 : runs("avx2") ? &avx2 : &portable;
    return widest(arguments...);
  }

 private:
  static bool runs(const char *set) { return why_not_on_this_cpu({set}).empty(); }
  GSIC_CLONE("avx512f") static Result avx512(Arguments... arguments) { return function(arguments...); }
  GSIC_CLONE("avx2") static Result avx2(Arguments... arguments) { return function(arguments...); }
  __attribute__((flatten)) static Result portable(Arguments... arguments) { return function(arguments...); }
#else
  static Result call(Arguments... arguments) { return function(arguments...); }
#endif
};

}  // namespace gsic

#endif
