// What a library of custom operators needs of ONNX Runtime's binary interface. Declared here, since ONNX Runtime's
// Python package, which most people have, comes without headers. The interface only ever grows at its end: functions
// keep their place in the table, and a `CustomOp` says of which version it is. check/abi.cpp compares all of this with
// the official onnxruntime_c_api.h. Functions of both sides report a failure by a status, which is null for none.
#ifndef GSIC_ONNXRUNTIME_ABI_H
#define GSIC_ONNXRUNTIME_ABI_H

#include <cstddef>
#include <cstdint>

namespace ort {

/// The oldest version that has everything used here: ONNX Runtime 1.16.
constexpr uint32_t kVersion = 16;

struct Status;
struct SessionOptions;
struct KernelInfo;
struct KernelContext;
struct Value;
struct ShapeInfo;
struct Domain;

enum ErrorCode : int { kFail = 1 };
enum ElementType : int { kFloat = 1 };
enum Characteristic : int { kRequired = 0, kVariadic = 2 };
enum MemoryType : int { kDefaultMemory = 0 };

/// The table of functions; `Slot`s say where each stands.
struct Api {
  void *functions[1];
};

struct ApiBase {
  const Api *(*get_api)(uint32_t version) noexcept;  ///< null: the runtime is older than that
  const char *(*version)() noexcept;
};

/// A function of type F at a place in the table.
template <size_t place, typename F> struct Slot {
  static constexpr size_t kPlace = place;
  static F *in(const Api *api) { return reinterpret_cast<F *>(api->functions[place]); }
};

using CreateStatus = Slot<0, Status *(ErrorCode, const char *message)>;
using CreateDomain = Slot<26, Status *(const char *name, Domain **)>;
struct CustomOp;
using AddOperator = Slot<27, Status *(Domain *, const CustomOp *)>;
using AddDomain = Slot<28, Status *(SessionOptions *, Domain *)>;
using TensorData = Slot<51, Status *(Value *, void **)>;
using DimensionsCount = Slot<61, Status *(const ShapeInfo *, size_t *)>;
using Dimensions = Slot<62, Status *(const ShapeInfo *, int64_t *, size_t)>;
using TensorShape = Slot<65, Status *(const Value *, ShapeInfo **)>;
/// `*size` counts the terminating zero; with a null text only the size is given. So do the other texts below.
using StringAttribute = Slot<87, Status *(const KernelInfo *, const char *name, char *text, size_t *size)>;
using Input = Slot<90, Status *(const KernelContext *, size_t, const Value **)>;
using Output = Slot<91, Status *(KernelContext *, size_t, const int64_t *dimensions, size_t, Value **)>;
using ReleaseStatus = Slot<93, void(Status *)>;
using ReleaseShape = Slot<99, void(ShapeInfo *)>;
using OutputCount = Slot<231, Status *(const KernelInfo *, size_t *)>;
using HasConfigEntry = Slot<237, Status *(const SessionOptions *, const char *key, int *)>;
using ConfigEntry = Slot<238, Status *(const SessionOptions *, const char *key, char *text, size_t *size)>;
using NodeName = Slot<244, Status *(const KernelInfo *, char *text, size_t *size)>;

/// An operator as ONNX Runtime calls it, as far as version 16 has it.
struct CustomOp {
  uint32_t version;
  void *(*create_without_status)(const CustomOp *, const Api *, const KernelInfo *);
  const char *(*name)(const CustomOp *);
  const char *(*execution_provider)(const CustomOp *);  ///< null: the CPU's
  ElementType (*input_type)(const CustomOp *, size_t);
  size_t (*input_count)(const CustomOp *);
  ElementType (*output_type)(const CustomOp *, size_t);
  size_t (*output_count)(const CustomOp *);
  void (*compute_without_status)(void *kernel, KernelContext *);
  void (*destroy)(void *kernel);
  Characteristic (*input_characteristic)(const CustomOp *, size_t);
  Characteristic (*output_characteristic)(const CustomOp *, size_t);
  MemoryType (*input_memory)(const CustomOp *, size_t);
  int (*least_inputs)(const CustomOp *);
  int (*inputs_alike)(const CustomOp *);
  int (*least_outputs)(const CustomOp *);
  int (*outputs_alike)(const CustomOp *);
  Status *(*create)(const CustomOp *, const Api *, const KernelInfo *, void **kernel);
  Status *(*compute)(void *kernel, KernelContext *);
};

}  // namespace ort

#endif
