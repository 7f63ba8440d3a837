import type { CpuTarget } from "../config/target.js";
import type { Kernel } from "../ir/program.js";
import { type CxxCompiler, findCompiler, unloadable } from "./compilers.js";
import { findGpuCompiler } from "./gpu-compiler.js";
import { sharedObject } from "./kernels.js";

/** How a simulation is compiled. */
export interface SimulationOptions {
  /** Bytes of weights that its kernels read: with few, they are done before an optimiser would be. Many by default. */
  readonly weightBytes?: number;
  /** Told after each kernel. */
  readonly progress?: (done: number) => void;
}

/** Weights of a model whose kernels are worth optimising. */
const manyBytes = 8 << 20;

/** Kernels that are not optimised have much in common: as one text they take half of the time. */
const mostTogether = 8;

/**
 * Compiles GPU kernels for this machine's CPU, which runs their workgroups lane by lane (templates/include/gsic/
 * simulation.h); returns the path of the shared object in the cache. `wave` is the lanes that run in step; `target` is
 * one that this machine runs.
 */
export async function compileSimulation(
  kernels: readonly Kernel[],
  wave: number,
  target: Pick<CpuTarget, "flags">,
  { weightBytes = manyBytes, progress = () => {} }: SimulationOptions = {},
): Promise<string> {
  const compiler = await simulationCompiler();
  const few = weightBytes < manyBytes;
  const flags = [
    "-std=c++17",
    few ? "-O0" : "-O2",
    "-fPIC",
    "-ffp-contract=off",
    "-fno-exceptions",
    "-fno-rtti",
    "-fno-asynchronous-unwind-tables",
    "-fvisibility=hidden",
    "-Wno-psabi",
    `-DGSIC_WAVE=${wave}`,
    ...(few ? ["-DGSIC_CORES_APART"] : []),
    ...unloadable(compiler),
    ...target.flags,
  ];
  const parts = { prefix, together: few ? mostTogether : 1, units: few ? [simulator] : [] };
  return sharedObject(compiler, kernels, flags, "simulation of GPU kernels", progress, parts);
}

/** What runs the lanes of kernels is optimised in any case: within them, or apart from those that are not. */
const simulator = {
  name: "simulator",
  source: '#include "gsic/cores/simulator.h"\ntemplate struct gsic::Simulator<GSIC_WAVE>;\n',
  flags: ["-O2"],
};

/** Headers of templates/gpu: all that kernels include. */
const prefix = [
  ...["ahead", "attention", "combine", "functions", "gate", "layers", "read", "source"].map(
    (name) => `gpu/${name}`,
  ),
  "value",
]
  .map((name) => `#include "gsic/${name}.h"\n`)
  .join("");

/** The clang of GPU builds where there is one: it takes half of g++'s time, and its lanes run a quarter faster. */
function simulationCompiler(): Promise<CxxCompiler> {
  return findGpuCompiler("hip").catch(findCompiler);
}
