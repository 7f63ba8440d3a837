#include "arguments.h"

#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "error.h"
#include "memory.h"

namespace gsic {
namespace {

[[noreturn]] void refuse(const std::string &what) { throw Error(GSIC_INVALID_ARGUMENT, what); }

}  // namespace

Arguments::Arguments(const std::vector<std::string> &list) {
  for (size_t i = 0; i < list.size(); i++) {
    if (list[i].rfind("--", 0) != 0) {
      if (!bundle_.empty()) refuse("'" + list[i] + "': only one bundle can be given");
      bundle_ = list[i];
      continue;
    }
    const std::string name = list[i].substr(2);
    if (i + 1 == list.size()) refuse("--" + name + " needs a value");
    const std::string &value = list[++i];
    const size_t equals = value.find('=');
    if (name != "meta") {
      values_[name] = value;
    } else if (equals == std::string::npos) {
      refuse("--meta: '" + value + "' is not KEY=VALUE");
    } else {
      metadata_[value.substr(0, equals)] = value.substr(equals + 1);
    }
  }
}

std::string Arguments::text(const std::string &name) const {
  const auto found = values_.find(name);
  if (found == values_.end()) refuse("--" + name + " is missing");
  return found->second;
}

std::string Arguments::text(const std::string &name, const std::string &otherwise) const {
  return values_.count(name) != 0 ? text(name) : otherwise;
}

uint64_t Arguments::number(const std::string &name, uint64_t least, uint64_t most) const {
  const std::string value = text(name);
  char *end = nullptr;
  const uint64_t result = std::strtoull(value.c_str(), &end, 10);
  const bool digits = !value.empty() && value.size() < 20 && value.find_first_not_of("0123456789") == std::string::npos;
  if (!digits || result < least || result > most)
    refuse("--" + name + ": '" + value + "' is not an integer from " + std::to_string(least) + " to " +
           std::to_string(most));
  return result;
}

uint64_t Arguments::number(const std::string &name, uint64_t least, uint64_t most, uint64_t otherwise) const {
  return values_.count(name) != 0 ? number(name, least, most) : otherwise;
}

double Arguments::real(const std::string &name, double otherwise) const {
  if (values_.count(name) == 0) return otherwise;
  const std::string value = text(name);
  char *end = nullptr;
  const double result = std::strtod(value.c_str(), &end);
  if (value.empty() || *end != '\0' || !std::isfinite(result)) refuse("--" + name + ": '" + value + "' is no number");
  return result;
}

std::shared_ptr<const Model> Arguments::open_model(Sharing sharing) const {
  return open_model(sharing, uint32_t(number("threads", 0, 1024, 0)));
}

std::shared_ptr<const Model> Arguments::open_model(Sharing sharing, uint32_t threads) const {
  if (bundle_.empty()) refuse("the bundle is missing: give the path of a .gsi file");
  OpenOptions options;
  options.threads = threads;
  options.sharing = sharing;
  options.target = text("target", "");
  return std::make_shared<const Model>(bundle_, options);
}

std::vector<int32_t> Arguments::ids() const {
  const MappedFile file(text("ids-file"));
  const Bytes bytes = file.bytes();
  if (bytes.size == 0 || bytes.size % sizeof(int32_t) != 0)
    throw Error::at(file.path(), GSIC_IO, std::to_string(bytes.size) + " bytes are no list of int32");
  std::vector<int32_t> ids(bytes.size / sizeof(int32_t));
  std::memcpy(ids.data(), bytes.data, bytes.size);
  return ids;
}

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

Progress::Progress(uint64_t total) : total_(total) {}

void Progress::report(uint64_t done) {
  const double time = now();
  if (done < total_ && time - last_ < 0.1) return;
  last_ = time;
  std::fprintf(stderr, "{\"progress\":%llu,\"total\":%llu}\n", static_cast<unsigned long long>(done),
               static_cast<unsigned long long>(total_));
}

}  // namespace gsic
