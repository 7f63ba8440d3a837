// The table, empty.
#include "gsic/generic/table.h"

namespace gsic {
namespace generic {

Table table = {"gsic table of kernels, format 1", kMostKernels, kMostWords, 0, 0, {}, {}};

}  // namespace generic
}  // namespace gsic
