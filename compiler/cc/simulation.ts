import type { CpuTarget } from "../config/target.js";
import type { Kernel } from "../ir/program.js";
import { type CxxCompiler, findCompiler, unloadable } from "./compilers.js";
import { findGpuCompiler } from "./gpu-compiler.js";
import { sharedObject } from "./kernels.js";

/**
 * Compiles GPU kernels for this machine's CPU, which runs their workgroups lane by lane (templates/include/gsic/
 * simulation.h); returns the path of the shared object in the cache. `wave` is the lanes that run in step; `target` is
 * one that this machine runs.
 */
export async function compileSimulation(
  kernels: readonly Kernel[],
  wave: number,
  target: Pick<CpuTarget, "flags">,
  progress: (done: number) => void = () => {},
): Promise<string> {
  const compiler = await simulationCompiler();
  const flags = [
    "-std=c++17",
    "-O2",
    "-fPIC",
    "-ffp-contract=off",
    "-fvisibility=default",
    "-Wno-psabi",
    `-DGSIC_WAVE=${wave}`,
    ...unloadable(compiler),
    ...target.flags,
  ];
  return sharedObject(compiler, kernels, flags, "simulation of GPU kernels", progress);
}

/** The clang of GPU builds where there is one: it takes half of g++'s time, and its lanes run a quarter faster. */
function simulationCompiler(): Promise<CxxCompiler> {
  return findGpuCompiler("hip").catch(findCompiler);
}
