// The instruction sets that this library was compiled for.
#pragma GCC visibility push(default)
#include "gsic/code_features.h"
#pragma GCC visibility pop
