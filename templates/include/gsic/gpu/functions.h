// The scalar functions of functions.h, on GPUs.
#ifndef GSIC_GPU_FUNCTIONS_H
#define GSIC_GPU_FUNCTIONS_H

#include "gsic/dialect/gpu.h"
//
#include "gsic/functions.h"

#endif
