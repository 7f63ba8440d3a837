import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Target } from "../config/target.js";
import { machineTargets } from "../config/targets.js";
import type { GenericShape, Kernel } from "../ir/program.js";
import type { GsicError } from "../support/errors.js";
import { templatesFolder } from "../support/paths.js";
import { cachedCompile, contentHash, hashOf, objectPath } from "./cache.js";
import { compilerMissing, findCompiler, run, unloadable } from "./compilers.js";
import { kernelFlags } from "./kernels.js";
import { type Compilation, compileObjects, objectsOf, plainSource, type SourceCount } from "./objects.js";
import { prebuiltKernels } from "./prebuilt.js";

/** Numbers of templates/include/gsic/generic/table.h. */
const [marker, nameBytes, headerBytes] = ["gsic table of kernels, format 1", 96, 48] as const;
const entryBytes = nameBytes + 8;
const kinds: readonly GenericShape["kind"][] = [
  "embed",
  "norm",
  "project",
  "glu",
  "cache",
  "attend",
  "screen",
  "rescore",
];

/**
 * A shared object of the kernels, filled in from one that came compiled for all shapes of a target; null where none did.
 * Its bits are those of kernels that are compiled. Throws `compiler-missing` (category environment) where a build has more
 * kernels than it has room for, or wider heads than it knows.
 */
export async function genericKernels(
  kernels: readonly Kernel[],
  target: Pick<Target, "name">,
): Promise<Uint8Array | null> {
  const file = await prebuiltKernels(target.name, await genericHash());
  return file === null ? null : fillTable(await readFile(file), kernels);
}

/** Whether kernels for all shapes came compiled for the CPUs of this machine's kind. */
export async function hasGenericKernels(): Promise<boolean> {
  const hash = await genericHash();
  const files = await Promise.all(machineTargets().map(({ name }) => prebuiltKernels(name, hash)));
  return files.every((file) => file !== null);
}

/** The library with the kernels' names and shapes in its table. */
export function fillTable(library: Uint8Array, kernels: readonly Kernel[]): Uint8Array {
  const bytes = Buffer.from(library);
  const table = bytes.indexOf(marker);
  const [mostKernels, mostWords] = [bytes.readInt32LE(table + 32), bytes.readInt32LE(table + 36)];
  const entries = table + headerBytes;
  const words = entries + mostKernels * entryBytes;
  let used = 0;
  const count = kernels.reduce((sum, { generic }) => sum + generic!.words.length, 0);
  const longest = Math.max(...kernels.map(({ symbol }) => symbol.length));
  if (kernels.length > mostKernels || count > mostWords || longest >= nameBytes)
    throw beyond(`${kernels.length} kernels, more than there is room for`);
  const widest = Math.max(0, ...kernels.map(({ generic }) => headDimOf(generic!)));
  if (widest > mostHeadDim) throw beyond(`attention heads of ${widest} channels`);
  for (const [index, { symbol, generic }] of kernels.entries()) {
    const entry = entries + index * entryBytes;
    bytes.write(symbol, entry, "latin1");
    bytes.writeInt32LE(kinds.indexOf(generic!.kind), entry + nameBytes);
    bytes.writeInt32LE(used, entry + nameBytes + 4);
    for (const word of generic!.words) bytes.writeInt32LE(word, words + 4 * used++);
  }
  bytes.writeInt32LE(kernels.length, table + 40);
  return bytes;
}

/** Channels of a head that templates/generic/attend.cpp knows at most. */
const mostHeadDim = 256;

/** Channels of a kernel's attention heads; 0 of other kernels. */
function headDimOf({ kind, words }: GenericShape): number {
  return kind === "attend" ? words[2]! : 0;
}

function beyond(what: string): GsicError {
  return compilerMissing(`the build has ${what}, which needs a C++ compiler`);
}

const folder = join(templatesFolder, "generic");

/** Hash of all that the kernels for all shapes are made of, whatever compiles them. */
export async function genericHash(): Promise<string> {
  return hashOf(...kernelFlags, await contentHash([folder, join(templatesFolder, "include")]));
}

async function sources(): Promise<string[]> {
  return (await readdir(folder)).filter((name) => name.endsWith(".cpp")).map((name) => join(folder, name));
}

async function compilation(target: Pick<Target, "flags">): Promise<Compilation> {
  const compiler = await findCompiler();
  return {
    compiler,
    flags: [...kernelFlags, "-fvisibility=hidden", ...unloadable(compiler), ...target.flags],
    include: [join(templatesFolder, "include")],
    together: 1,
  };
}

/** Compiles the kernels for all shapes of a target, with an empty table; returns the path in the cache. */
export async function compileGeneric(
  target: Pick<Target, "name" | "flags">,
  progress: SourceCount = () => {},
): Promise<string> {
  const how = await compilation(target);
  const all = await Promise.all((await sources()).map(plainSource));
  const objects = await objectsOf(all, how);
  const library = objectPath(
    `${hashOf("kernels for all shapes", ...objects.map((object) => basename(object)))}.so`,
  );
  if (existsSync(library)) return library;
  await cachedCompile(library, `kernels of ${target.name}`, async (output) => {
    await compileObjects(all, how, progress);
    const link = ["-shared", "-Wl,--build-id=none", "-Wl,--as-needed", "-Wl,-z,noseparate-code"];
    await run(how.compiler, [...link, ...objects, "-o", output, "-lm"], `kernels of ${target.name}`);
  });
  return library;
}
