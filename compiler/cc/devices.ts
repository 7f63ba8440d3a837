import { type ByDevice, type CpuTarget, type GpuTarget, ofTarget, type Target } from "../config/target.js";
import type { Kernel } from "../ir/program.js";
import { findCompiler } from "./compilers.js";
import { genericKernels } from "./generic.js";
import { type CodeObject, compileGpuKernels } from "./gpu.js";
import { compileKernels } from "./kernels.js";

/** Machine code of all kernels of a build for one target, as its section of the bundle holds it. */
export type TargetCode = LibraryCode | ObjectsCode;

/** One shared object. */
export interface LibraryCode {
  readonly kind: "library";
  readonly target: Target;
  readonly bytes: Uint8Array;
  /** False: no compiler was found, and the kernels are those for all shapes, filled in. */
  readonly specialised: boolean;
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

/**
 * Kernels for a CPU. Without a compiler those that came compiled for all shapes; where none came either, throws what
 * `findCompiler` does.
 */
export async function compileLibrary(
  kernels: readonly Kernel[],
  target: CpuTarget,
  progress: (done: number) => void,
): Promise<LibraryCode> {
  if (!(await hasCompiler())) {
    const bytes = await genericKernels(kernels, target);
    if (bytes !== null) return { kind: "library", target, bytes, specialised: false };
  }
  const bytes = await compileKernels(kernels, target, progress);
  return { kind: "library", target, bytes, specialised: true };
}

/** Whether kernels can be compiled here. */
export function hasCompiler(): Promise<boolean> {
  return findCompiler().then(
    () => true,
    () => false,
  );
}

const compilers: ByDevice<Compile> = {
  cpu: (target) => (kernels, progress) => compileLibrary(kernels, target, progress),
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
