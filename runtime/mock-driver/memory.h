// The memory of the mock driver's device. A device pointer is an address that nobody may touch: what it stands for lies
// elsewhere, so that a host that follows one crashes, and a host pointer in place of one is found.
#ifndef GSIC_MOCK_MEMORY_H
#define GSIC_MOCK_MEMORY_H

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

namespace gsic_mock {

/// Not thread-safe.
class Memory {
 public:
  ~Memory();

  /// `size` bytes that hold no numbers; null if the system has none.
  void *allocate(size_t size);
  /// Host memory that counts as reachable by the device.
  void *allocate_host(size_t size);
  /// False if there is no such block.
  bool free(void *pointer);
  bool free_host(void *pointer);

  /// Where the bytes from a device pointer on really are; null if they are not all inside one block.
  uint8_t *find(const void *pointer, size_t size) const;
  /// Bytes from a device pointer to the end of its block; 0 if it is none.
  uint64_t bytes_behind(const void *pointer) const;
  /// Copies host bytes to a device pointer; false if they do not all fit into one block. Of a block that a launch has
  /// read, scalar loads find from then on what was there before the copy: nothing invalidates their cache.
  bool copy_in(void *pointer, const void *source, size_t size);
  /// What scalar loads find at a device pointer that a launch reads; null if it is what is there.
  const uint8_t *stale(const void *pointer);

  /// Whether host memory came from allocate_host.
  bool is_reachable(const void *pointer, size_t size) const;

  uint64_t used() const { return used_; }
  size_t blocks() const { return device_.size() + host_.size(); }

 private:
  struct Block {
    size_t size;
    std::unique_ptr<uint8_t[]> bytes;
    bool read = false;            ///< by a launch
    std::vector<uint8_t> cached;  ///< as before the last copy; empty: none since it was read
  };
  using Blocks = std::map<const uint8_t *, Block>;

  static Blocks::const_iterator containing(const Blocks &blocks, const void *pointer);
  /// Bytes from a pointer to the end of its block; 0 if it is in none.
  static uint64_t rest(const Blocks &blocks, const void *pointer);

  Blocks device_;  ///< by the address that nobody may touch
  Blocks host_;    ///< by the address of `bytes`
  uint64_t used_ = 0;
};

}  // namespace gsic_mock

#endif
