import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { GpuTarget } from "../config/target.js";
import type { Kernel } from "../ir/program.js";
import type { ResourceFacts } from "../report/resources.js";
import { GsicError } from "../support/errors.js";
import { templatesFolder } from "../support/paths.js";
import { inParallel } from "../support/process.js";
import { cached, contentHash, hashOf, objectPath } from "./cache.js";
import { type CxxCompiler, run } from "./compilers.js";
import { findGpuCompiler } from "./gpu-compiler.js";
import { gpuTools } from "./gpu-devices.js";
import { refuseSpills } from "./resources.js";

/** A GPU kernel's machine code: an ELF file for AMD's devices, PTX text with a closing NUL for NVIDIA's. */
export interface CodeObject {
  readonly bytes: Uint8Array;
  /** Null for PTX, whose registers the driver assigns. */
  readonly resources: ResourceFacts | null;
}

const commonFlags = ["-O3", "-std=c++17", "-ffp-contract=off"];

/**
 * Compiles kernels for a GPU target, each by itself, and reads what each takes of the device. Objects are cached by
 * the content of source, headers, flags and compiler. `progress` is told after each kernel. `isWhole`: whether
 * the flags leave all of a kernel, whose LDS must then be what its launch says. Throws `kernel-spills`,
 * `gpu-compiler-missing` and `gpu-architecture-unknown`.
 */
export async function compileGpuKernels(
  kernels: readonly Kernel[],
  target: GpuTarget,
  progress: (done: number) => void = () => {},
  isWhole = true,
): Promise<CodeObject[]> {
  const compiler = await findGpuCompiler(target.device);
  const flags = [
    ...gpuTools[target.device].flags(target.architecture, compiler),
    ...commonFlags,
    ...target.flags,
  ];
  const headers = await contentHash([join(templatesFolder, "include")]);
  const objects: CodeObject[] = [];
  let done = 0;
  await inParallel(kernels, async (kernel, index) => {
    const key = hashOf(compiler.version, flags.join(" "), headers, kernel.source);
    const object = await compile(compiler, kernel, target, flags, key);
    if (object.resources !== null) {
      refuseSpills(kernel.symbol, object.resources, target);
      if (isWhole) checkLds(kernel, object.resources);
    }
    objects[index] = object;
    progress(++done);
  });
  return objects;
}

async function compile(
  compiler: CxxCompiler,
  { symbol, source }: Kernel,
  { device, architecture }: GpuTarget,
  flags: readonly string[],
  key: string,
): Promise<CodeObject> {
  const { ending, resourcesOf, loadable } = gpuTools[device];
  const outputs = [objectPath(`${key}${ending}`), objectPath(`${key}.json`)];
  const [bytes, resources] = await cached(outputs, symbol, async ([object, facts], folder) => {
    const name = `${symbol}.cpp`;
    await writeFile(join(folder, name), source);
    const include = `-I${join(templatesFolder, "include")}`;
    const args = [...flags, include, name, "-o", object!];
    const messages = await run(compiler, args, `kernel ${symbol}`, folder).catch((cause: unknown) => {
      throw isUnknownArchitecture(cause) ? unknownArchitecture(compiler, architecture) : cause;
    });
    await writeFile(facts!, JSON.stringify(resourcesOf(messages, symbol)));
  });
  return { bytes: loadable(bytes!), resources: JSON.parse(resources!.toString()) as ResourceFacts | null };
}

/** Refuses a launch that promises another amount of LDS than the kernel takes. */
function checkLds({ symbol, launch }: Kernel, facts: ResourceFacts): void {
  if (launch?.lds === facts.lds) return;
  throw new GsicError({
    category: "defect",
    code: "kernel-lds",
    message: `kernel ${symbol} takes ${facts.lds} bytes of LDS, its launch says ${launch?.lds ?? "nothing"}`,
    where: `${symbol}.cpp`,
    hint: "this is a defect of gsic; please report it",
  });
}

function isUnknownArchitecture(cause: unknown): boolean {
  const words = /invalid target ID|unsupported (?:CUDA|HIP) gpu architecture|unknown target CPU/;
  return cause instanceof GsicError && words.test(cause.message);
}

function unknownArchitecture({ command, version }: CxxCompiler, architecture: string): GsicError {
  return new GsicError({
    category: "environment",
    code: "gpu-architecture-unknown",
    message: `${command} (${version.split("\n")[0]!.trim()}) does not compile for ${architecture}`,
    hint: "install a newer clang and lld (gfx950 needs version 20), or name one in GSIC_CLANG",
  });
}
