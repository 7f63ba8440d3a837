// gsic-tool exchange --first PATH --second PATH: exchanges two paths of one file system in one step, so that each is
// whole at every moment. Node has no call for it.
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "arguments.h"
#include "error.h"

namespace gsic {
namespace {

/// RENAME_EXCHANGE of <linux/fs.h>, a header that not every C library's package brings.
constexpr unsigned kExchange = 2;

}  // namespace

void run_exchange(const Arguments &arguments) {
  const std::string first = arguments.text("first"), second = arguments.text("second");
  if (syscall(SYS_renameat2, AT_FDCWD, first.c_str(), AT_FDCWD, second.c_str(), kExchange) != 0)
    throw OutputError(second, system_error_text());
}

}  // namespace gsic
