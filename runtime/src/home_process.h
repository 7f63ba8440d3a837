// The process that opened something whose threads or driver a child of fork() does not have.
#ifndef GSIC_SRC_HOME_PROCESS_H
#define GSIC_SRC_HOME_PROCESS_H

#include <unistd.h>

#include "error.h"

namespace gsic {

class HomeProcess {
 public:
  bool is_here() const { return getpid() == id_; }
  /// Throws GSIC_INVALID_ARGUMENT in any other process, which would wait for ever for what it does not have. Called
  /// before locks are taken: a thread that this process does not have may hold them.
  void require() const {
    if (!is_here())
      throw Error(GSIC_INVALID_ARGUMENT, "the model was opened before this process was forked from another",
                  "open it in the process that uses it");
  }

 private:
  const pid_t id_ = getpid();
};

}  // namespace gsic

#endif
