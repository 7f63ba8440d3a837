import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Target } from "../config/target.js";
import type { Kernel } from "../ir/program.js";
import { templatesFolder } from "../support/paths.js";
import { inParallel } from "../support/process.js";
import { cachedCompile, contentHash, hashOf, objectPath } from "./cache.js";
import { type CxxCompiler, findCompiler, run, unloadable } from "./compilers.js";

const kernelFlags = [
  "-std=c++17",
  "-O3",
  "-fPIC",
  "-fno-math-errno",
  "-fno-trapping-math",
  "-ffp-contract=off",
  "-fno-exceptions",
  "-fno-rtti",
  "-fvisibility=default",
  "-Wno-psabi",
];

/**
 * Compiles the kernels for a CPU target into a shared object and returns its bytes. Objects are cached by the content
 * of source, headers, flags and compiler. `progress` is told after each kernel.
 */
export async function compileKernels(
  kernels: readonly Kernel[],
  target: Pick<Target, "name" | "flags">,
  progress: (done: number) => void = () => {},
): Promise<Uint8Array> {
  const compiler = await findCompiler();
  const flags = [...kernelFlags, ...unloadable(compiler), ...target.flags];
  return readFile(await sharedObject(compiler, kernels, flags, `kernels of ${target.name}`, progress));
}

/** Compiles each kernel by itself and links all into a shared object; returns its path in the cache. */
export async function sharedObject(
  compiler: CxxCompiler,
  kernels: readonly Kernel[],
  flags: readonly string[],
  what: string,
  progress: (done: number) => void,
): Promise<string> {
  const include = join(templatesFolder, "include");
  const headers = await contentHash([include]);
  const keys = kernels.map(({ source }) => hashOf(compiler.version, flags.join(" "), headers, source));
  const library = objectPath(`${hashOf(...keys)}.so`);
  await cachedCompile(library, what, async (output) => {
    const objects = keys.map((key) => objectPath(`${key}.o`));
    let done = 0;
    await inParallel(kernels, async (kernel, index) => {
      await cachedCompile(objects[index]!, kernel.symbol, async (object, folder) => {
        const source = join(folder, `${kernel.symbol}.cpp`);
        await writeFile(source, kernel.source);
        await run(
          compiler,
          [...flags, `-I${include}`, "-c", source, "-o", object],
          `kernel ${kernel.symbol}`,
        );
      });
      progress(++done);
    });
    await run(compiler, ["-shared", "-Wl,--build-id=none", ...objects, "-o", output, "-lm"], what);
  });
  return library;
}
