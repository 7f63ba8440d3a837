// A shared object whose kernels are named by a table in its file: gsic fills it in, and nothing is compiled.
#include <utility>

#include "gsic/generic/table.h"

namespace gsic {
namespace generic {
namespace {

template <class Shape> const Shape &shape_of(const Entry &entry) {
  return *reinterpret_cast<const Shape *>(table.words + entry.first);
}

void run(const Entry &entry, const gsic_worker &worker, Arguments arguments) {
  switch (entry.kind) {
    case Kind::embed:
      return embed(shape_of<EmbedShape>(entry), worker, arguments);
    case Kind::norm:
      return norm(shape_of<NormShape>(entry), worker, arguments);
    case Kind::project:
      return project(shape_of<ProjectShape>(entry), worker, arguments);
    case Kind::glu:
      return glu(shape_of<ProjectShape>(entry), worker, arguments);
    case Kind::cache:
      return cache(shape_of<CacheShape>(entry), worker, arguments);
    case Kind::attend:
      return attend(shape_of<AttendShape>(entry), worker, arguments);
    case Kind::screen:
      return screen(shape_of<ScreenedShape>(entry), worker, arguments);
    case Kind::rescore:
      return rescore(shape_of<ScreenedShape>(entry), worker, arguments);
  }
}

/// Number I of the table, as a function of its own: a kernel is told nothing else.
template <int I> void kernel(const gsic_worker *worker, Arguments arguments) {
  run(table.entries[I], *worker, arguments);
}

template <int... I> gsic_cpu_kernel kernel_at(int index, std::integer_sequence<int, I...>) {
  static constexpr gsic_cpu_kernel kernels[] = {kernel<I>...};
  return kernels[index];
}

}  // namespace
}  // namespace generic
}  // namespace gsic

/// The kernel of that name; null if the table has none.
extern "C" __attribute__((visibility("default"))) gsic_cpu_kernel gsic_find_kernel(const char *name) {
  using namespace gsic::generic;
  for (int i = 0; i < table.kernels; i++)
    if (__builtin_strcmp(table.entries[i].name, name) == 0)
      return kernel_at(i, std::make_integer_sequence<int, kMostKernels>());
  return nullptr;
}
