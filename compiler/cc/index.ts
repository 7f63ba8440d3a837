/** Machine code: kernels by target, the runtime's programs; everything cached by content. */

import type { CpuTarget, GpuTarget, Target } from "../config/target.js";
import type { Kernel } from "../ir/program.js";
import { type CodeObject, compileGpuKernels } from "./gpu.js";
import { compileKernels } from "./kernels.js";

export { cacheFolder } from "./cache.js";
export { type CxxCompiler, findCompiler } from "./compilers.js";
export { type CodeObject, compileGpuKernels, objectEndings } from "./gpu.js";
export { findGpuCompiler } from "./gpu-compiler.js";
export { compileKernels } from "./kernels.js";
export { buildRuntime, prepareRuntime, type RuntimeProduct } from "./runtime.js";
export { compileSimulation } from "./simulation.js";

/** All kernels of a build for one target: a shared object, or for GPUs one code object per kernel, in their order. */
export type TargetCode =
  | { readonly target: CpuTarget; readonly bytes: Uint8Array }
  | { readonly target: GpuTarget; readonly objects: readonly CodeObject[] };

/** Compiles kernels for a target of any kind. `progress` is told after each kernel. */
export async function compileFor(
  kernels: readonly Kernel[],
  target: Target,
  progress: (done: number) => void = () => {},
): Promise<TargetCode> {
  switch (target.device) {
    case "cpu":
      return { target, bytes: await compileKernels(kernels, target, progress) };
    case "hip":
    case "cuda":
      return { target, objects: await compileGpuKernels(kernels, target, progress) };
    default:
      return target satisfies never;
  }
}
