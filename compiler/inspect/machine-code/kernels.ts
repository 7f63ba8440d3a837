import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { compileGpuKernels } from "../../cc/index.js";
import { disassemble } from "../../cc/llvm.js";
import type { GpuTarget } from "../../config/target.js";
import type { Kernel } from "../../ir/program.js";
import { inParallel } from "../../support/process.js";
import { countPath, type MachineCounts } from "./count.js";
import { readInstructions } from "./instructions.js";
import { pathOf } from "./path.js";

/** Leaves in a kernel what one column takes alone (templates/include/gsic/gpu/columns.h). */
const oneColumn = "-DGSIC_COLUMNS=1";

/**
 * Counts in the machine code of kernels for a target of AMD's what one column runs through. It is the code of the build
 * less what is for more columns. Throws what `compileGpuKernels` and `disassemble` throw.
 */
export async function countKernels(
  kernels: readonly Kernel[],
  target: GpuTarget,
): Promise<ReadonlyMap<string, MachineCounts>> {
  const compiled = { ...target, flags: [...target.flags, oneColumn] };
  const objects = await compileGpuKernels(kernels, compiled, () => {}, false);
  const found = new Map<string, MachineCounts>();
  await inParallel(kernels, async ({ symbol }, index) => {
    const code = readInstructions(await disassemble(objects[index]!.bytes));
    found.set(symbol, countPath(pathOf(code)));
  });
  return found;
}

/** The sources of a build's kernels, beside what its report says of them. */
export function readKernels(
  folder: string,
  kernels: readonly Pick<Kernel, "symbol" | "template" | "summary" | "launch">[],
): Promise<Kernel[]> {
  return Promise.all(
    kernels.map(async (kernel) => ({
      ...kernel,
      arguments: [],
      source: await readFile(join(folder, "kernels", `${kernel.symbol}.cpp`), "utf8"),
    })),
  );
}
