import { cp, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gpuTools, type ObjectsCode, type TargetCode } from "../cc/index.js";
import { buildFiles } from "../config/build-files.js";
import type { ProgramJson } from "../report/program-json.js";
import type { Schedule } from "../schedule/program.js";
import { templatesFolder } from "../support/paths.js";

/**
 * Writes `kernels/`: the emitted sources, what they include, so that they compile by themselves, and per GPU target
 * the code objects and what they take of the device. Beside it, `program.json`.
 */
export async function writeSources(
  staging: string,
  scheduled: Schedule,
  code: readonly TargetCode[],
): Promise<void> {
  const { kernels } = scheduled;
  const folder = join(staging, buildFiles.kernels);
  await mkdir(folder);
  for (const { symbol, source } of kernels) await writeFile(join(folder, `${symbol}.cpp`), source);
  await cp(join(templatesFolder, "include"), join(folder, "include"), { recursive: true });
  for (const one of code) if (one.kind === "objects") await writeObjects(folder, scheduled, one);
  await writeFile(join(staging, buildFiles.program), `${JSON.stringify(programJson(scheduled))}\n`);
}

async function writeObjects(
  folder: string,
  { kernels }: Schedule,
  { target, objects }: ObjectsCode,
): Promise<void> {
  const inside = join(folder, target.name);
  await mkdir(inside);
  const { ending } = gpuTools[target.device];
  const resources: Record<string, unknown> = {};
  for (const [index, { symbol }] of kernels.entries()) {
    const object = objects[index]!;
    await writeFile(join(inside, `${symbol}${ending}`), object.bytes);
    if (object.resources !== null) resources[symbol] = object.resources;
  }
  if (Object.keys(resources).length > 0)
    await writeFile(join(inside, "resources.json"), `${JSON.stringify(resources, null, 2)}\n`);
}

function programJson({ kernels, listings }: Schedule): ProgramJson {
  return {
    kernels: kernels.map(({ symbol, template, summary, launch }) => ({ symbol, template, summary, launch })),
    modes: listings,
  };
}
