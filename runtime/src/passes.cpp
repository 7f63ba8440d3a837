#include "passes.h"

#include <algorithm>
#include <cstring>

#include "error.h"
#include "launch.h"
#include "sampler.h"
#include "scan.h"

namespace gsic {
namespace {

/// Pointers that launches take together.
size_t pointers_of(const std::vector<Launch> &launches) {
  size_t total = 0;
  for (const Launch &launch : launches) total += launch.arguments.size();
  return total;
}

bool tells_alone(const std::vector<Launch> &launches) {
  return std::any_of(launches.begin(), launches.end(), [](const Launch &launch) { return launch.alone; });
}

/// Those that run at all positions.
std::vector<ResolvedLaunch> always(const std::vector<Launch> &launches, const std::vector<ResolvedLaunch> &resolved) {
  std::vector<ResolvedLaunch> found;
  for (size_t i = 0; i < launches.size(); i++)
    if (launches[i].from == 0) found.push_back(resolved[i]);
  return found;
}

/// Whether all columns are at positions where the shorter body computes the same.
bool is_short(const Runnable &runnable, const gsic_step &step) {
  return std::all_of(step.column, step.column + step.columns,
                     [&](const gsic_column &column) { return column.position < runnable.short_end; });
}

}  // namespace

Passes::Passes(std::shared_ptr<const Model> model, const std::string &mode, size_t sequences, size_t cache_blocks,
               const std::string &what)
    : model_(std::move(model)),
      groups_(model_->device().groups()),
      layout_(model_->manifest(), sequences, groups_),
      cache_blocks_(cache_blocks),
      programs_(model_->programs(mode)),
      what_(what) {
  constexpr Buffer kOwn[] = {Buffer::arena, Buffer::cache, Buffer::step, Buffer::counters};
  Device &device = model_->device();
  uint64_t total = 0;
  for (Buffer which : kOwn) total += bytes_of(which);
  device.require_memory(total, "a " + what + ", most of it for its KV cache");
  for (Buffer which : kOwn)
    buffers_[size_t(which)] = device.allocate(bytes_of(which), "the " + what + "'s " + kBufferNames[size_t(which)]);
  staging_ = device.staging(programs_.main->logits_stride * sizeof(float), "a token's logits");
  make_programs();
}

void Passes::make_programs() {
  Runnable main = make(*programs_.main), draft;
  if (programs_.draft != nullptr) draft = make(*programs_.draft);
  main_ = std::move(main);
  draft_ = std::move(draft);
}

bool Passes::grow_cache(size_t blocks, size_t most) {
  blocks = std::min(blocks, most);
  if (blocks <= cache_blocks_) return false;
  Device &device = model_->device();
  const uint64_t block = block_bytes();
  const size_t wanted = std::min(std::max(blocks, 2 * cache_blocks_), most);
  const auto allocate = [&](size_t count) {
    const std::string tokens = std::to_string(count * model_->manifest().cache_block);
    return device.allocate(count * block, "the KV cache of a " + what_ + " of " + tokens + " tokens");
  };
  std::unique_ptr<DeviceMemory> larger;
  size_t count = wanted;
  try {
    larger = allocate(count);
  } catch (const Error &error) {
    if (error.status() != GSIC_OUT_OF_MEMORY || blocks == wanted) throw;
    count = blocks;
    larger = allocate(count);
  }
  std::unique_ptr<DeviceMemory> &cache = buffers_[size_t(Buffer::cache)];
  const size_t held = cache_blocks_ * block;
  device.copy_rows({larger->address(0), held}, {cache->address(0), held}, 1, device.stream());
  cache.swap(larger);
  try {
    make_programs();
  } catch (...) {
    cache.swap(larger);
    throw;
  }
  cache_blocks_ = count;
  return true;
}

uint64_t Passes::bytes_of(Buffer which) const {
  if (which == Buffer::cache) return cache_blocks_ * block_bytes();
  const uint64_t bytes = model_->manifest().buffer(which);
  if (which == Buffer::arena) return groups_ * arena_pitch();
  return which == Buffer::step ? std::max(layout_.bytes(), bytes) : bytes;
}

uint64_t Passes::arena_pitch() const { return (model_->manifest().buffer(Buffer::arena) + 63) / 64 * 64; }

Runnable Passes::make(const Program &program) {
  Runnable made;
  made.program = &program;
  // The logits of a group are read before those of the next one are computed.
  const std::vector<ResolvedLaunch> body = resolve(program.body, {}),
                                    head = resolve(program.head, program.logits_offset);
  if (!program.screened.empty()) made.screened = model_->device().capture(resolve(program.screened, {}));
  Device &device = model_->device();
  for (const Launch &launch : program.body)
    if (launch.from > 0 && (made.short_end == 0 || int32_t(launch.from) < made.short_end))
      made.short_end = int32_t(launch.from);
  made.any = capture(program, body, head);
  if (tells_alone(program.body) || tells_alone(program.head))
    made.alone = capture(program, resolve(program.body, {}, true), resolve(program.head, program.logits_offset, true));
  if (groups_ > 1) {
    const std::vector<ResolvedLaunch> shorter = always(program.body, body);
    made.group_body = device.capture_groups(body, pointers_of(program.body));
    if (made.short_end > 0) made.short_group_body = device.capture_groups(shorter, pointers_of(program.body));
    for (size_t group = 0; group < groups_; group++) {
      std::vector<ResolvedLaunch> own = head;
      for (ResolvedLaunch &launch : own) launch.arguments += group * pointers_of(program.head);
      made.group_heads.push_back(device.capture(own));
    }
  }
  made.launches = body;
  made.launches.insert(made.launches.end(), head.begin(), head.end());
  return made;
}

PassSequences Passes::capture(const Program &program, const std::vector<ResolvedLaunch> &body,
                              const std::vector<ResolvedLaunch> &head) const {
  Device &device = model_->device();
  PassSequences made{device.capture(body), device.capture(head), nullptr};
  const std::vector<ResolvedLaunch> shorter = always(program.body, body);
  if (shorter.size() < body.size()) made.short_body = device.capture(shorter);
  return made;
}

uint8_t *Passes::address(const Argument &argument, size_t group, std::optional<uint64_t> shared) const {
  if (argument.buffer == Buffer::weights) return model_->weights(argument.offset);
  uint64_t before = 0;
  if (argument.buffer == Buffer::step) before = StepLayout::step(group);
  if (argument.buffer == Buffer::arena && argument.offset != shared) before = group * arena_pitch();
  return buffers_[size_t(argument.buffer)]->address(before + argument.offset);
}

std::vector<ResolvedLaunch> Passes::resolve(const std::vector<Launch> &launches, std::optional<uint64_t> shared,
                                            bool alone) {
  const size_t pitch = pointers_of(launches);
  void **next = arguments_.emplace_back(groups_ * pitch).data();
  std::vector<ResolvedLaunch> resolved;
  for (const Launch &launch : launches) {
    for (size_t group = 0; group < groups_; group++)
      for (size_t i = 0; i < launch.arguments.size(); i++) {
        const bool is_told = alone && launch.alone && launch.arguments[i].buffer == Buffer::step;
        next[group * pitch + i] = is_told ? nullptr : address(launch.arguments[i], group, shared);
      }
    resolved.push_back(resolve_launch(*model_, launch, next));
    next += launch.arguments.size();
  }
  return resolved;
}

void Passes::write_table(size_t table, size_t first, const int64_t *places, size_t count) {
  uint8_t *const begin = buffers_[size_t(Buffer::step)]->address(layout_.place(table));
  model_->device().write(begin + first * sizeof *places, places, count * sizeof *places);
}

void Passes::prepare(const gsic_step &step) {
  step_ = step;
  model_->device().write(buffers_[size_t(Buffer::step)]->address(0), &step, sizeof step);
}

bool Passes::may_screen(const Runnable &runnable, const gsic_step &step) {
  return runnable.screened != nullptr && (step.wanted & (step.wanted - 1)) == 0;
}

void Passes::run(const Runnable &runnable, const gsic_step &step, bool only_choice) {
  prepare(step);
  const auto columns = uint32_t(step.columns);
  const PassSequences &sequences = columns == 1 && runnable.alone ? *runnable.alone : runnable.any;
  (is_short(runnable, step) ? sequences.short_body : sequences.body)->run(columns);
  if (step.wanted == 0) return;
  (only_choice && may_screen(runnable, step) ? runnable.screened : sequences.head)->run(columns);
}

void Passes::run_groups(const std::vector<gsic_step> &steps, bool only_choice,
                        const std::function<void(size_t group)> &each) {
  if (steps.size() == 1) {
    run(main_, steps[0], only_choice);
    return each(0);
  }
  uint8_t *const begin = buffers_[size_t(Buffer::step)]->address(0);
  for (size_t i = 0; i < steps.size(); i++)
    model_->device().write(begin + StepLayout::step(i), &steps[i], sizeof steps[i]);
  const bool all_short =
      std::all_of(steps.begin(), steps.end(), [&](const gsic_step &step) { return is_short(main_, step); });
  (all_short ? main_.short_group_body : main_.group_body)->run(steps.size(), uint32_t(columns_of(steps)));
  for (size_t i = 0; i < steps.size(); i++) {
    step_ = steps[i];
    if (steps[i].wanted != 0) main_.group_heads[i]->run(uint32_t(steps[i].columns));
    each(i);
  }
}

const void *Passes::read_arena(uint64_t offset, void *staging, size_t bytes) const {
  return model_->device().read(buffers_[size_t(Buffer::arena)]->address(offset), staging, bytes);
}

const float *Passes::logits(const Runnable &runnable, uint32_t column, size_t position) {
  const Program &program = *runnable.program;
  const uint64_t offset = program.logits_offset + uint64_t(column) * program.logits_stride * sizeof(float);
  const uint32_t vocabulary = model_->manifest().vocabulary;
  const auto *read = static_cast<const float *>(read_arena(offset, staging_->address(0), vocabulary * sizeof(float)));
  if (!all_finite(read, vocabulary)) refuse_logits(position);
  return read;
}

int32_t Passes::choice(const Runnable &runnable, uint32_t column, size_t position) {
  const Program &program = *runnable.program;
  if (!program.greedy) return largest(logits(runnable, column, position), model_->manifest().vocabulary).id;
  gsic_choice found;
  const uint64_t offset = *program.greedy + column * sizeof found;
  std::memcpy(&found, read_arena(offset, staging_->address(0), sizeof found), sizeof found);
  const gsic_column &wanted = step_.column[column];
  if (found.position != wanted.position || found.token != wanted.token)
    throw Error(GSIC_INTERNAL,
                "the device computed token " + std::to_string(found.token) + " at position " +
                    std::to_string(found.position) + ", in place of " + std::to_string(wanted.token) + " at " +
                    std::to_string(wanted.position) + ": it read the step of another pass",
                "report this with the names of the device and of its driver; until then, a build for CPUs is right");
  const int32_t id = found.id;
  if (id < 0) refuse_logits(position);
  if (uint32_t(id) >= model_->manifest().vocabulary)
    throw Error(GSIC_INTERNAL,
                "the program chose token " + std::to_string(id) + ", which there is not: a kernel is wrong",
                "run `gsic build` again, which checks them");
  return id;
}

void Passes::refuse_logits(size_t position) const {
  throw Error(GSIC_INTERNAL,
              "the logits at position " + std::to_string(position) +
                  " are not all finite numbers: the model's weights overflow, or a kernel is wrong",
              "run `gsic build` again, which checks both");
}

std::array<uint64_t, 2> Passes::counters(size_t gate) const {
  std::array<uint64_t, 2> counts;
  const uint8_t *source = buffers_[size_t(Buffer::counters)]->address(gate * sizeof counts);
  std::memcpy(&counts, model_->device().read(source, staging_->address(0), sizeof counts), sizeof counts);
  return counts;
}

}  // namespace gsic
