// gsic-tool calls BUNDLE [--modes stored,packed] [--repeat 15] [--threads N] [--target T]
// Times the calls of linears of two modes beside each other: the same linears, whose weights lie in memory in two ways.
// One column a call, as when a text is written. By turns, so that what else the machine does falls on both alike;
// before each turn a buffer beyond all caches is read, so that weights come from memory. Prints {threads, calls:
// [{input, seconds: [{median, mean, least, most} of each mode]}]}. Throws GSIC_INVALID_ARGUMENT where the modes have
// other calls.
#include <array>
#include <iostream>

#include "arguments.h"
#include "error.h"
#include "linear.h"
#include "read_ceiling.h"

namespace gsic {
namespace {

constexpr size_t kTurns = 2;

class Timed {
 public:
  Timed(const std::shared_ptr<const Model> &model, const std::string &mode) : linears_(model, mode) {
    for (const LinearCall &call : calls()) {
      x_.emplace_back(call.x.width, 0.5f);
      y_.emplace_back(call.y.width);
    }
    seconds_.resize(calls().size());
  }

  const std::vector<LinearCall> &calls() const { return linears_.calls(); }
  const Samples &seconds(size_t call) const { return seconds_[call]; }

  void turn(bool counts) {
    for (size_t i = 0; i < calls().size(); i++) {
      const double start = now();
      linears_.run(i, x_[i].data(), 1, y_[i].data());
      if (counts) seconds_[i].add(now() - start);
    }
  }

 private:
  Linears linears_;
  std::vector<std::vector<float>> x_, y_;
  std::vector<Samples> seconds_;
};

}  // namespace

void run_calls(const Arguments &arguments) {
  const auto model = arguments.open_model();
  const std::string modes = arguments.text("modes", "stored,packed");
  const size_t comma = modes.find(',');
  if (comma == std::string::npos) throw Error(GSIC_INVALID_ARGUMENT, "--modes: give two, with a comma between them");
  std::array<Timed, kTurns> timed = {Timed(model, modes.substr(0, comma)), Timed(model, modes.substr(comma + 1))};
  const auto alike = [](const LinearCall &a, const LinearCall &b) {
    return a.input == b.input && a.x.width == b.x.width && a.y.width == b.y.width;
  };
  const std::vector<LinearCall> &calls = timed[0].calls(), &others = timed[1].calls();
  if (!std::equal(calls.begin(), calls.end(), others.begin(), others.end(), alike))
    throw Error(GSIC_INVALID_ARGUMENT, "--modes: they do not have the same calls of linears");
  const uint64_t repeat = arguments.number("repeat", 1, 1000, 15);
  CpuCeiling ceiling(model->manifest());
  Progress progress(repeat);
  for (uint64_t i = 0; i <= repeat; i++) {
    for (size_t j = 0; j < kTurns; j++) {
      ceiling.flush(model->device());
      // Who comes first changes; what is touched for the first time does not count.
      timed[(i + j) % kTurns].turn(i > 0);
    }
    progress.report(i);
  }
  nlohmann::ordered_json document = {{"threads", model->device().threads()},
                                     {"calls", nlohmann::ordered_json::array()}};
  for (size_t i = 0; i < calls.size(); i++)
    document["calls"].push_back(
        {{"input", calls[i].input}, {"seconds", {timed[0].seconds(i).json(), timed[1].seconds(i).json()}}});
  std::cout << document.dump() << '\n';
}

}  // namespace gsic
