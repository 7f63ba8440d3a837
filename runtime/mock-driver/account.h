// What the mock driver counted, as a JSON file at exit: {"kernels": [{"symbol", "launches", "arguments": [{"loaded",
// "stored"}]}], "live_allocations", "launches", "graph_launches", "bytes_to_host", "devices": [allocations]}. Kernels
// stand in the order of their first launches; bytes are summed over launches. Live allocations are whatever the driver
// gave and did not get back: memory of the device and of the host, streams, modules, graphs and their instances.
#ifndef GSIC_MOCK_ACCOUNT_H
#define GSIC_MOCK_ACCOUNT_H

#include <cstdint>
#include <string>
#include <vector>

namespace gsic_mock {

class Account {
 public:
  struct Traffic {
    std::string symbol;
    uint64_t launches;
    std::vector<uint64_t> loaded, stored;  ///< bytes by argument
  };

  /// The entry of a kernel with so many arguments.
  Traffic &kernel(const std::string &symbol, size_t arguments);

  /// Counts an allocation of a device's memory.
  void allocate_on(int device);

  /// Writes the file of GSIC_MOCK_ACCOUNT, if there is one.
  void write() const;

  uint64_t launches = 0, graph_launches = 0, bytes_to_host = 0;
  size_t live_allocations = 0;

 private:
  std::vector<Traffic> kernels_;
  std::vector<uint64_t> devices_;  ///< allocations by device
};

}  // namespace gsic_mock

#endif
