// gsic-tool users BUNDLE [--users 1,4,8,16] [--mode M] [--tokens 64] [--prompt 16] [--newcomer 64] [--repeat 5]
//                        [--ids-file F] [--threads N]
// Measures requests that share passes, each mode in its own batch. Every repetition takes each number of users in turn,
// so that ratios come from the same moment:
//   tokens a second of all users together, from when all prompts are read to when the first text ends
//   gaps between two tokens of a user: their median, and the 99th percentile as a multiple of it
//   a newcomer: seconds from its request of `newcomer` tokens to its first token, alone and beside the users
// Texts end after `tokens` tokens and not before. One JSON document on standard output.
#include <algorithm>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "arguments.h"
#include "batch.h"
#include "error.h"
#include "prompts.h"
#include "samples.h"

namespace gsic {
namespace {

using nlohmann::ordered_json;

/// One request while it is measured.
struct User {
  double asked = 0;
  std::vector<double> times;  ///< of its tokens
  bool ended = false;
};

/// What is measured of a number of users.
struct Crowd {
  size_t users;
  Samples rate = {}, ratio = {}, gap = {}, slowest = {}, first = {}, first_ratio = {};
};

uint64_t submit(Batch &batch, User &user, const std::vector<int32_t> &prompt, size_t tokens) {
  BatchRequest request;
  request.prompt = prompt;
  request.limit = tokens;
  request.visit = [&user](const BatchEvent &event) {
    if (event.end == GSIC_END_FAILED) throw Error(event.status, event.reason);
    if (event.end == GSIC_END_NONE) user.times.push_back(now());
    user.ended |= event.end != GSIC_END_NONE;
    return true;
  };
  user.asked = now();
  return batch.submit(std::move(request));
}

void run_until(Batch &batch, const std::function<bool()> &done) {
  while (!done()) batch.run(std::chrono::milliseconds(0));
}

class Measurement {
 public:
  Measurement(const std::shared_ptr<const Model> &model, const std::string &mode, const Arguments &arguments)
      : batch_(model, {mode, 0}),
        context_(model->manifest().context),
        prompt_(std::min<size_t>(arguments.number("prompt", 1, 1u << 20, 16), context_ / 2)),
        tokens_(std::min<size_t>(arguments.number("tokens", 2, 1u << 20, 64), context_ - prompt_)),
        newcomer_(std::min<size_t>(arguments.number("newcomer", 1, 1u << 20, 64), context_ / 2)),
        prompts_(arguments, *model, prompt_),
        vocabulary_(model->manifest().vocabulary) {}

  /// The users' tokens a second; fills in what is known of their gaps.
  double rate(size_t count, Crowd &crowd) {
    std::vector<User> users(count);
    for (User &user : users) submit(batch_, user, other_prompt(prompts_[next_]), tokens_);
    const auto each = [&](auto is) { return std::all_of(users.begin(), users.end(), is); };
    run_until(batch_, [&] { return each([](const User &user) { return !user.times.empty() || user.ended; }); });
    const double start = now();
    std::vector<size_t> before;
    for (const User &user : users) before.push_back(user.times.size());
    run_until(batch_, [&] { return !each([](const User &user) { return !user.ended; }); });
    const double seconds = now() - start;
    size_t written = 0;
    for (size_t i = 0; i < count; i++) written += users[i].times.size() - before[i];
    run_until(batch_, [&] { return each([](const User &user) { return user.ended; }); });
    add_gaps(users, crowd);
    return double(written) / seconds;
  }

  /// Seconds to the first token of a newcomer beside so many users, who go on for as long as it takes.
  double first_token(size_t count) {
    std::vector<User> users(count + 1);
    std::vector<uint64_t> tickets;
    for (size_t i = 0; i < count; i++)
      tickets.push_back(submit(batch_, users[i], other_prompt(prompts_[next_]), context_));
    const auto begun = [](const User &user) { return !user.times.empty() || user.ended; };
    run_until(batch_, [&] { return std::all_of(users.begin(), users.end() - 1, begun); });
    std::vector<int32_t> prompt(newcomer_);
    for (size_t i = 0; i < newcomer_; i++) prompt[i] = int32_t((i * 104729 + 7) % vocabulary_);
    User &last = users.back();
    submit(batch_, last, other_prompt(prompt), 1);
    run_until(batch_, [&] { return last.ended; });
    for (const uint64_t ticket : tickets) batch_.cancel(ticket);
    run_until(batch_, [&] { return std::all_of(users.begin(), users.end(), [](const User &u) { return u.ended; }); });
    return last.times.empty() ? 0 : last.times[0] - last.asked;
  }

 private:
  /// No prompt begins as another did: nothing of it is in the cache.
  std::vector<int32_t> other_prompt(std::vector<int32_t> prompt) {
    prompt[0] = int32_t((next_++ * 7919 + 3) % vocabulary_);
    return prompt;
  }

  static void add_gaps(const std::vector<User> &users, Crowd &crowd) {
    std::vector<double> gaps;
    for (const User &user : users)
      for (size_t i = 1; i < user.times.size(); i++) gaps.push_back(user.times[i] - user.times[i - 1]);
    if (gaps.empty()) return;
    std::sort(gaps.begin(), gaps.end());
    const double median = gaps[gaps.size() / 2];
    crowd.gap.add(median);
    if (median > 0) crowd.slowest.add(gaps[gaps.size() * 99 / 100] / median);
  }

  Batch batch_;
  size_t context_, prompt_, tokens_, newcomer_;
  Prompts prompts_;
  size_t vocabulary_, next_ = 0;
};

std::vector<size_t> numbers_of(const std::string &list) {
  std::vector<size_t> numbers;
  std::istringstream stream(list);
  for (std::string one; std::getline(stream, one, ',');) {
    if (one.empty() || one.size() > 4 || one.find_first_not_of("0123456789") != std::string::npos)
      throw Error(GSIC_INVALID_ARGUMENT, "--users: '" + one + "' is no number of users", "give some, such as 1,4,8");
    numbers.push_back(std::max<size_t>(1, std::stoul(one)));
  }
  return numbers;
}

ordered_json measure(const std::shared_ptr<const Model> &model, const std::string &mode, const Arguments &arguments) {
  Measurement measurement(model, mode, arguments);
  std::vector<Crowd> crowds;
  for (const size_t users : numbers_of(arguments.text("users", "1,4,8,16"))) crowds.push_back({users});
  Crowd warm{1};
  measurement.rate(1, warm);
  for (size_t i = arguments.number("repeat", 1, 1000, 5); i > 0; i--) {
    const double one = measurement.rate(1, warm), alone = measurement.first_token(0);
    for (Crowd &crowd : crowds) {
      const double rate = measurement.rate(crowd.users, crowd), first = measurement.first_token(crowd.users);
      crowd.rate.add(rate);
      crowd.ratio.add(rate / one);
      crowd.first.add(first);
      crowd.first_ratio.add(first / alone);
    }
  }
  ordered_json list = ordered_json::array();
  for (const Crowd &crowd : crowds)
    list.push_back({{"users", crowd.users},
                    {"tokens_per_second", crowd.rate.json()},
                    {"ratio_to_one", crowd.ratio.json()},
                    {"seconds_between_tokens", crowd.gap.json()},
                    {"slowest_to_median", crowd.slowest.json()},
                    {"newcomer_seconds", crowd.first.json()},
                    {"newcomer_ratio_to_idle", crowd.first_ratio.json()}});
  return list;
}

}  // namespace

void run_users(const Arguments &arguments) {
  const auto model = arguments.open_model(Sharing::measured);
  const std::string only = arguments.text("mode", "");
  ordered_json document = {{"target", model->target().name}, {"threads", model->device().threads()}};
  for (const std::string &mode : only.empty() ? model->manifest().modes : std::vector<std::string>{only})
    document["modes"][mode] = measure(model, mode, arguments);
  std::cout << document.dump(2) << std::endl;
}

}  // namespace gsic
