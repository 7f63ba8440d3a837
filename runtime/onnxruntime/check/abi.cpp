// Compiles only where abi.h is what the official header says:
// c++ -std=c++17 -fsyntax-only -I<folder of the header> abi.cpp
#include "../abi.h"

#include <onnxruntime_c_api.h>

#include <cstddef>

#define CHECK_PLACE(ours, theirs) \
  static_assert(ort::ours::kPlace == offsetof(OrtApi, theirs) / sizeof(void *), #theirs " stands elsewhere")
#define CHECK_MEMBER(ours, theirs) \
  static_assert(offsetof(ort::CustomOp, ours) == offsetof(OrtCustomOp, theirs), #theirs " stands elsewhere")

static_assert(ORT_API_VERSION >= ort::kVersion);
static_assert(offsetof(ort::ApiBase, get_api) == offsetof(OrtApiBase, GetApi));
static_assert(offsetof(ort::ApiBase, version) == offsetof(OrtApiBase, GetVersionString));
static_assert(int(ort::kFail) == ORT_FAIL);
static_assert(int(ort::kFloat) == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT);
static_assert(int(ort::kRequired) == INPUT_OUTPUT_REQUIRED && int(ort::kVariadic) == INPUT_OUTPUT_VARIADIC);
static_assert(int(ort::kDefaultMemory) == OrtMemTypeDefault);

CHECK_PLACE(CreateStatus, CreateStatus);
CHECK_PLACE(CreateDomain, CreateCustomOpDomain);
CHECK_PLACE(AddOperator, CustomOpDomain_Add);
CHECK_PLACE(AddDomain, AddCustomOpDomain);
CHECK_PLACE(TensorData, GetTensorMutableData);
CHECK_PLACE(DimensionsCount, GetDimensionsCount);
CHECK_PLACE(Dimensions, GetDimensions);
CHECK_PLACE(TensorShape, GetTensorTypeAndShape);
CHECK_PLACE(StringAttribute, KernelInfoGetAttribute_string);
CHECK_PLACE(Input, KernelContext_GetInput);
CHECK_PLACE(Output, KernelContext_GetOutput);
CHECK_PLACE(ReleaseStatus, ReleaseStatus);
CHECK_PLACE(ReleaseShape, ReleaseTensorTypeAndShapeInfo);
CHECK_PLACE(OutputCount, KernelInfo_GetOutputCount);
CHECK_PLACE(HasConfigEntry, HasSessionConfigEntry);
CHECK_PLACE(ConfigEntry, GetSessionConfigEntry);
CHECK_PLACE(NodeName, KernelInfo_GetNodeName);

CHECK_MEMBER(version, version);
CHECK_MEMBER(create_without_status, CreateKernel);
CHECK_MEMBER(name, GetName);
CHECK_MEMBER(execution_provider, GetExecutionProviderType);
CHECK_MEMBER(input_type, GetInputType);
CHECK_MEMBER(input_count, GetInputTypeCount);
CHECK_MEMBER(output_type, GetOutputType);
CHECK_MEMBER(output_count, GetOutputTypeCount);
CHECK_MEMBER(compute_without_status, KernelCompute);
CHECK_MEMBER(destroy, KernelDestroy);
CHECK_MEMBER(input_characteristic, GetInputCharacteristic);
CHECK_MEMBER(output_characteristic, GetOutputCharacteristic);
CHECK_MEMBER(input_memory, GetInputMemoryType);
CHECK_MEMBER(least_inputs, GetVariadicInputMinArity);
CHECK_MEMBER(inputs_alike, GetVariadicInputHomogeneity);
CHECK_MEMBER(least_outputs, GetVariadicOutputMinArity);
CHECK_MEMBER(outputs_alike, GetVariadicOutputHomogeneity);
CHECK_MEMBER(create, CreateKernelV2);
CHECK_MEMBER(compute, KernelComputeV2);
