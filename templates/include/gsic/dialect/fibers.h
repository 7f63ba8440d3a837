// What the host dialect is made of: lanes as fibers.
#ifndef GSIC_DIALECT_FIBERS_H
#define GSIC_DIALECT_FIBERS_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

#include "gsic/dialect/simulator.h"

namespace gsic {

#if defined(__x86_64__)
/// Stores the callee-saved registers on the stack, its pointer in *from, and continues where `to` was left.
extern "C" void gsic_switch_stack(void **from, void *to);
asm(R"(
.pushsection .text
.weak gsic_switch_stack
.hidden gsic_switch_stack
.type gsic_switch_stack, @function
gsic_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.popsection
)");
#endif

/// A suspended or running flow of control.
class Context {
 public:
  /// Prepares a context that begins at `entry`, which must not return.
  void prepare(uint8_t *stack, size_t bytes, void (*entry)()) {
#if defined(__x86_64__)
    void **top = reinterpret_cast<void **>(stack + bytes);
    *--top = nullptr;  // keeps the stack aligned as after a call
    *--top = reinterpret_cast<void *>(entry);
    for (int i = 0; i < 6; i++) *--top = nullptr;
    pointer_ = top;
#else
    getcontext(&context_);
    context_.uc_stack.ss_sp = stack;
    context_.uc_stack.ss_size = bytes;
    context_.uc_link = nullptr;
    makecontext(&context_, entry, 0);
#endif
  }
  void switch_to(Context &other) {
#if defined(__x86_64__)
    gsic_switch_stack(&pointer_, other.pointer_);
#else
    swapcontext(&context_, &other.context_);
#endif
  }

 private:
#if defined(__x86_64__)
  void *pointer_ = nullptr;
#else
  ucontext_t context_;
#endif
};

/// The lanes of a workgroup. A lane that waits hands over to the next that can go on; the last to arrive goes on
/// itself. With GSIC_SIMULATION_BACKWARD in the environment all go in the other order: what a missing barrier changes
/// shows.
class Fibers {
 public:
  static constexpr int kMostLanes = 1024;
  /// Bytes of a stack: an odd number of cache lines, since the ends of stacks 64 KB apart would share a cache's set.
  static constexpr size_t kStack = (size_t(64) << 10) + 17 * 64;
  /// Bytes that a lane may show to its wave at once.
  static constexpr int kExchange = 16;

  int current() const { return current_; }
  /// Whether the last run ended with lanes that waited for others in vain.
  bool stuck() const { return stuck_; }
  bool backward() const { return backward_; }

  void run(int lanes, int wave, LaneCall call, void *const *arguments) {
    if (stacks_ == nullptr) make_stacks();
    lanes_ = lanes;
    wave_ = wave;
    call_ = call;
    arguments_ = arguments;
    stuck_ = false;
    finished_ = 0;
    memset(arrived_, 0, sizeof arrived_);
    memset(completed_, 0, sizeof completed_);
    for (int i = 0; i < lanes; i++) {
      lane_[i].context.prepare(stacks_ + i * kStack, kStack, enter);
      lane_[i].wave = i / wave;
      lane_[i].waits_for = -1;
      lane_[i].done = false;
      lane_[i].meetings = 0;
    }
    active = this;
    current_ = backward_ ? lanes - 1 : 0;
    main_.switch_to(lane_[current_].context);
  }

  /// All lanes of the workgroup meet.
  void barrier() { meet(kGroups - 1, lanes_); }

  /// The number of the lane that runs in its wave.
  int place() const { return current_ - lane_[current_].wave * wave_; }

  /// Shows a value to the lanes of the wave; the result is the wave's, lane after lane.
  template <class T> const T *exchange(const T &value) {
    static_assert(sizeof(T) <= kExchange, "more than a lane may show");
    Lane &lane = lane_[current_];
    const int wave = lane.wave;
    // Two halves in turn: a lane may be at its next exchange while others still read this one.
    uint8_t *half = shown_[wave][lane.meetings++ % 2];
    memcpy(half + sizeof(T) * size_t(place()), &value, sizeof(T));
    meet(wave, wave_);
    return reinterpret_cast<const T *>(half);
  }

 private:
  /// Waves, and the workgroup as the last one.
  static constexpr int kGroups = kMostLanes / 32 + 1;

  struct Lane {
    Context context;
    int wave;
    int waits_for;        ///< group, or -1
    uint64_t generation;  ///< of that group, that has to be completed
    unsigned meetings;
    bool done;
  };

  static inline Fibers *active = nullptr;

  static void enter() {
    Fibers &fibers = *active;
    fibers.call_.invoke(fibers.call_.kernel, fibers.arguments_);
    fibers.lane_[fibers.current_].done = true;
    fibers.finished_++;
    fibers.hand_over();
  }

  void meet(int group, int size) {
    if (++arrived_[group] == size) {
      arrived_[group] = 0;
      completed_[group]++;
      return;
    }
    Lane &lane = lane_[current_];
    lane.waits_for = group;
    lane.generation = completed_[group] + 1;
    hand_over();
  }

  bool can_run(const Lane &lane) const {
    return !lane.done && (lane.waits_for < 0 || completed_[lane.waits_for] >= lane.generation);
  }

  /// The next of some lanes behind `from`, one of them, that can run; at last itself; -1 if there is none.
  int next_of(int first, int count, int from) const {
    int candidate = from;
    for (int i = 0; i < count; i++) {
      if (backward_)
        candidate = candidate == first ? first + count - 1 : candidate - 1;
      else
        candidate = candidate == first + count - 1 ? first : candidate + 1;
      if (can_run(lane_[candidate])) return candidate;
    }
    return -1;
  }

  /// To the next lane of the same wave that can run, else of the workgroup; back to the caller if there is none.
  void hand_over() {
    const int from = current_;
    int next = next_of(lane_[from].wave * wave_, wave_, from);
    if (next < 0) next = next_of(0, lanes_, from);
    if (next < 0) {
      stuck_ = finished_ < lanes_;
      lane_[from].context.switch_to(main_);
      return;
    }
    lane_[next].waits_for = -1;
    current_ = next;
    if (next != from) lane_[from].context.switch_to(lane_[next].context);
  }

  void make_stacks() {
    void *mapped =
        mmap(nullptr, kMostLanes * kStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED) abort();
    stacks_ = static_cast<uint8_t *>(mapped);
  }

  Context main_;
  Lane lane_[kMostLanes];
  int arrived_[kGroups];
  uint64_t completed_[kGroups];
  alignas(16) uint8_t shown_[kGroups][2][64 * kExchange];
  uint8_t *stacks_ = nullptr;
  LaneCall call_{};
  void *const *arguments_ = nullptr;
  int lanes_ = 0, wave_ = 0, current_ = 0, finished_ = 0;
  bool stuck_ = false;
  const bool backward_ = getenv("GSIC_SIMULATION_BACKWARD") != nullptr;
};

}  // namespace gsic

#endif
