import { type ByDevice, type GpuTarget, ofTarget, type Target } from "../config/target.js";
import type { Kernel } from "../ir/program.js";
import { type CodeObject, compileGpuKernels } from "./gpu.js";
import { compileKernels } from "./kernels.js";

/** Machine code of all kernels of a build for one target, as its section of the bundle holds it. */
export type TargetCode = LibraryCode | ObjectsCode;

/** One shared object. */
export interface LibraryCode {
  readonly kind: "library";
  readonly target: Target;
  readonly bytes: Uint8Array;
}

/** A code object for each kernel, in their order. */
export interface ObjectsCode {
  readonly kind: "objects";
  readonly target: GpuTarget;
  readonly objects: readonly CodeObject[];
}

/** Compiles kernels; `progress` is told after each. */
type Compile = (kernels: readonly Kernel[], progress: (done: number) => void) => Promise<TargetCode>;

function compileObjects(target: GpuTarget): Compile {
  return async (kernels, progress) => {
    return { kind: "objects", target, objects: await compileGpuKernels(kernels, target, progress) };
  };
}

const compilers: ByDevice<Compile> = {
  cpu: (target) => async (kernels, progress) => {
    return { kind: "library", target, bytes: await compileKernels(kernels, target, progress) };
  },
  hip: compileObjects,
  cuda: compileObjects,
};

/** Compiles kernels for a target of any kind. `progress` is told after each kernel. */
export function compileFor(
  kernels: readonly Kernel[],
  target: Target,
  progress: (done: number) => void = () => {},
): Promise<TargetCode> {
  return ofTarget(compilers, target)(kernels, progress);
}
