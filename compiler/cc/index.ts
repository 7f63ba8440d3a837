/** Machine code: kernels by target, the runtime's programs; everything cached by content. */

export { type CxxCompiler, findCompiler } from "./compilers.js";
export {
  compileFor,
  compileLibrary,
  hasCompiler,
  type LibraryCode,
  type ObjectsCode,
  type TargetCode,
} from "./devices.js";
export { hasGenericKernels } from "./generic.js";
export { type CodeObject, compileGpuKernels } from "./gpu.js";
export { findGpuCompiler } from "./gpu-compiler.js";
export { type GpuDevice, gpuDevices, gpuTools } from "./gpu-devices.js";
export { compileKernels } from "./kernels.js";
export { buildRuntime, isPrebuilt, prepareRuntime, type RuntimeProduct } from "./runtime.js";
export { compileSimulation } from "./simulation.js";
