#include "mapping_guard.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <mutex>

namespace gsic {
namespace {

constexpr size_t kMostGuards = 256;

/// A guarded range; empty where `end` is 0. The handler reads it without locks.
struct Slot {
  std::atomic<uintptr_t> begin{0}, end{0};
  std::atomic<bool> lost{false};
};
static_assert(std::atomic<uintptr_t>::is_always_lock_free);

Slot slots[kMostGuards];
const std::atomic<bool> never_lost{false};
std::mutex mutex;  ///< of what follows, and of who writes into slots
size_t guards = 0;
struct sigaction previous = {};
uintptr_t page_bytes = 4096;

Slot *slot_of(uintptr_t address) {
  for (Slot &slot : slots)
    if (address < slot.end.load(std::memory_order_acquire) && address >= slot.begin.load(std::memory_order_relaxed))
      return &slot;
  return nullptr;
}

/// Puts zeros in the place of all that the file may lack: what lies behind one missing page is missing too.
bool replace(Slot &slot, uintptr_t address) {
  const uintptr_t page = address / page_bytes * page_bytes;
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;
  void *place = reinterpret_cast<void *>(page);
  if (mmap(place, slot.end.load(std::memory_order_relaxed) - page, PROT_READ, flags, -1, 0) == MAP_FAILED) return false;
  slot.lost.store(true, std::memory_order_release);
  return true;
}

void on_bus_error(int number, siginfo_t *info, void *context) {
  const int before = errno;
  const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  Slot *slot = info->si_code > 0 ? slot_of(address) : nullptr;
  if (slot != nullptr && replace(*slot, address)) {
    errno = before;
    return;
  }
  if ((previous.sa_flags & SA_SIGINFO) != 0) {
    previous.sa_sigaction(number, info, context);
  } else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
    previous.sa_handler(number);
  } else {
    // What happens without a handler: the access is repeated, or, where somebody sent the signal, it is sent again.
    sigaction(number, &previous, nullptr);
    if (info->si_code <= 0) raise(number);
  }
}

void install() {
  page_bytes = uintptr_t(sysconf(_SC_PAGESIZE));
  struct sigaction action = {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
  sigaction(SIGBUS, &action, &previous);
}

/// Takes the handler back, unless somebody else has put one on top.
void remove() {
  struct sigaction now = {};
  sigaction(SIGBUS, nullptr, &now);
  if ((now.sa_flags & SA_SIGINFO) != 0 && now.sa_sigaction == on_bus_error) sigaction(SIGBUS, &previous, nullptr);
}

}  // namespace

MappingGuard::MappingGuard(const uint8_t *begin, size_t bytes) : lost_(&never_lost), slot_(kMostGuards) {
  const std::lock_guard<std::mutex> lock(mutex);
  if (guards++ == 0) install();
  for (size_t i = 0; i < kMostGuards && slot_ == kMostGuards; i++) {
    if (slots[i].end.load(std::memory_order_relaxed) != 0) continue;
    slot_ = i;
    lost_ = &slots[i].lost;
    slots[i].lost.store(false, std::memory_order_relaxed);
    slots[i].begin.store(reinterpret_cast<uintptr_t>(begin), std::memory_order_relaxed);
    const uintptr_t end = reinterpret_cast<uintptr_t>(begin) + bytes;
    slots[i].end.store((end + page_bytes - 1) / page_bytes * page_bytes, std::memory_order_release);
  }
}

MappingGuard::~MappingGuard() {
  const std::lock_guard<std::mutex> lock(mutex);
  if (slot_ < kMostGuards) slots[slot_].end.store(0, std::memory_order_release);
  if (--guards == 0) remove();
}

const std::atomic<bool> *MappingGuard::at(const uint8_t *address) {
  Slot *slot = slot_of(reinterpret_cast<uintptr_t>(address));
  return slot == nullptr ? nullptr : &slot->lost;
}

}  // namespace gsic
