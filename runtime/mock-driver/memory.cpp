#include "memory.h"

#include <sys/mman.h>

#include <cstring>
#include <new>

namespace gsic_mock {
namespace {

/// All bits set: as floats, not numbers.
constexpr int kPoison = 0xff;
/// Lanes read small blocks, such as a pass's step, at one address: by scalar loads, where the compiler likes.
constexpr size_t kMostScalar = 4095;

void *reserve(size_t size) {
  void *address = mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return address != MAP_FAILED ? address : nullptr;
}

}  // namespace

Memory::~Memory() {
  while (!device_.empty()) free(const_cast<uint8_t *>(device_.begin()->first));
}

void *Memory::allocate(size_t size) {
  std::unique_ptr<uint8_t[]> bytes(new (std::nothrow) uint8_t[size]);
  void *address = bytes != nullptr ? reserve(size) : nullptr;
  if (address == nullptr) return nullptr;
  std::memset(bytes.get(), kPoison, size);
  device_.emplace(static_cast<const uint8_t *>(address), Block{size, std::move(bytes), false, {}});
  used_ += size;
  return address;
}

void *Memory::allocate_host(size_t size) {
  std::unique_ptr<uint8_t[]> bytes(new (std::nothrow) uint8_t[size]);
  if (bytes == nullptr) return nullptr;
  uint8_t *address = bytes.get();
  std::memset(address, kPoison, size);
  host_.emplace(address, Block{size, std::move(bytes), false, {}});
  return address;
}

bool Memory::free(void *pointer) {
  const auto found = device_.find(static_cast<const uint8_t *>(pointer));
  if (found == device_.end()) return false;
  used_ -= found->second.size;
  munmap(pointer, found->second.size);
  device_.erase(found);
  return true;
}

bool Memory::free_host(void *pointer) { return host_.erase(static_cast<const uint8_t *>(pointer)) == 1; }

Memory::Blocks::const_iterator Memory::containing(const Blocks &blocks, const void *pointer) {
  const auto *address = static_cast<const uint8_t *>(pointer);
  auto next = blocks.upper_bound(address);
  if (next == blocks.begin()) return blocks.end();
  --next;
  return address < next->first + next->second.size ? next : blocks.end();
}

uint8_t *Memory::find(const void *pointer, size_t size) const {
  if (size > bytes_behind(pointer)) return nullptr;
  const auto found = containing(device_, pointer);
  if (found == device_.end()) return nullptr;
  return found->second.bytes.get() + (static_cast<const uint8_t *>(pointer) - found->first);
}

bool Memory::copy_in(void *pointer, const void *source, size_t size) {
  uint8_t *to = find(pointer, size);
  if (to == nullptr) return false;
  Block &block = device_.find(containing(device_, pointer)->first)->second;
  if (block.read && block.size <= kMostScalar) block.cached.assign(block.bytes.get(), block.bytes.get() + block.size);
  std::memcpy(to, source, size);
  return true;
}

const uint8_t *Memory::stale(const void *pointer) {
  const auto found = containing(device_, pointer);
  if (found == device_.end()) return nullptr;
  Block &block = device_.find(found->first)->second;
  block.read = true;
  return block.cached.empty() ? nullptr : &block.cached[size_t(static_cast<const uint8_t *>(pointer) - found->first)];
}

uint64_t Memory::rest(const Blocks &blocks, const void *pointer) {
  const auto found = containing(blocks, pointer);
  if (found == blocks.end()) return 0;
  return uint64_t(found->first + found->second.size - static_cast<const uint8_t *>(pointer));
}

uint64_t Memory::bytes_behind(const void *pointer) const { return rest(device_, pointer); }

bool Memory::is_reachable(const void *pointer, size_t size) const {
  const uint64_t room = rest(host_, pointer);
  return room > 0 && size <= room;
}

}  // namespace gsic_mock
