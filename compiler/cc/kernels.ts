import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Target } from "../config/target.js";
import type { Kernel } from "../ir/program.js";
import { templatesFolder } from "../support/paths.js";
import { inParallel } from "../support/process.js";
import { cachedCompile, hashOf, objectPath } from "./cache.js";
import { type CxxCompiler, findCompiler, run, unloadable } from "./compilers.js";
import { Includes } from "./includes.js";
import { precompiled } from "./precompiled.js";

/** Of every CPU kernel, beside its target's. */
export const kernelFlags: readonly string[] = [
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
  const what = `kernels of ${target.name}`;
  return readFile(await sharedObject(compiler, kernels, flags, what, progress, cpuImage));
}

/** What a shared object holds besides kernels, and how they are compiled. */
interface ImageParts {
  /** What kernels begin with: lines that are worth precompiling. */
  readonly prefix?: string | undefined;
  /**
   * How many kernels are compiled as one text, behind a prefix that has all that they include; one by default. More than
   * one must not use cores.
   */
  readonly together?: number;
  readonly units?: readonly {
    readonly name: string;
    readonly source: string;
    /** Behind the flags of all. */
    readonly flags?: readonly string[];
  }[];
}

/** A CPU's: it says which instruction sets it uses, so that the runtime need not believe the manifest. */
const cpuImage: ImageParts = {
  prefix: '#include "gsic/dialect/cpu.h"\n',
  units: [{ name: "code_features", source: '#include "gsic/code_features.h"\n' }],
};

/** A source that is compiled by itself. */
interface Unit {
  readonly name: string;
  readonly source: string;
  /** Kernels that the source is made of, each of which compiles alone. */
  readonly kernels?: readonly Kernel[];
  readonly flags: readonly string[];
  /** Hash of all that its object depends on. */
  readonly key: string;
  /** Its object in the cache. */
  readonly object: string;
  /** About how long it takes to compile, a kernel being 1. */
  readonly effort: number;
  /** Whether it may begin with the precompiled header, which was compiled with the flags of all. */
  readonly begins: boolean;
}

/** A core takes so much longer than a kernel, by and large (examples/bench/compile-time.md). */
const coreEffort = 5;

/**
 * Compiles each kernel by itself, and each core that they share, and links all into a shared object; returns its path
 * in the cache. `progress` is told how many kernels' share of the work is done, cores included.
 */
export async function sharedObject(
  compiler: CxxCompiler,
  kernels: readonly Kernel[],
  flags: readonly string[],
  what: string,
  progress: (done: number) => void,
  parts: ImageParts = {},
): Promise<string> {
  const { prefix } = parts;
  const include = join(templatesFolder, "include");
  const includes = new Includes([include]);
  const units = await unitsOf(compiler, kernels, parts, flags, includes);
  const library = objectPath(`${hashOf(...units.map(({ key }) => key))}.so`);
  await cachedCompile(library, what, async (output) => {
    const missing = new Set(units.filter(({ object }) => !existsSync(object)));
    const effortOf = (all: Iterable<Unit>) => [...all].reduce((sum, { effort }) => sum + effort, 0);
    const total = effortOf(missing);
    const begin =
      prefix === undefined
        ? []
        : await precompiled({ compiler, text: prefix, flags, include: [include], includes }, missing.size);
    await inParallel([...missing], async (unit) => {
      await compileUnit(compiler, unit, include, unit.begins ? begin : []);
      missing.delete(unit);
      progress(kernels.length * (1 - effortOf(missing) / total));
    });
    const objects = units.map(({ object }) => object);
    await run(compiler, ["-shared", "-Wl,--build-id=none", ...objects, "-o", output, "-lm"], what);
  });
  return library;
}

/** The cores, which take longest, what else there is, and then the kernels. */
async function unitsOf(
  { version }: CxxCompiler,
  kernels: readonly Kernel[],
  { prefix = "", together = 1, units: more = [] }: ImageParts,
  flags: readonly string[],
  includes: Includes,
): Promise<Unit[]> {
  const cores = new Map(kernels.flatMap(({ cores }) => cores ?? []).map((core) => [core.name, core]));
  const sources = [
    ...[...cores.values()].map(({ name, source }) => ({
      name,
      source,
      flags,
      effort: coreEffort,
      begins: true,
    })),
    ...more.map(({ name, source, flags: own = [] }) => ({
      name,
      source,
      flags: [...flags, ...own],
      effort: own.length === 0 ? 1 : coreEffort,
      begins: own.length === 0,
    })),
    ...groupsOf(kernels, together).map((group) => ({
      name: group[0]!.symbol,
      source: group.length === 1 ? group[0]!.source : prefix + group.map(apart).join(""),
      kernels: group,
      flags: group[0]!.cores === undefined ? flags : [...flags, "-DGSIC_CORES_APART"],
      effort: group.length,
      begins: true,
    })),
  ];
  return Promise.all(
    sources.map(async (unit) => {
      const key = hashOf(version, unit.flags.join(" "), await includes.hash(unit.source), unit.source);
      return { ...unit, key, object: objectPath(`${key}.o`) };
    }),
  );
}

/** Neighbours, at most so many, in groups of about one size. */
function groupsOf(kernels: readonly Kernel[], most: number): Kernel[][] {
  const groups = Math.ceil(kernels.length / most);
  const begin = (group: number) => Math.floor((group * kernels.length) / groups);
  return Array.from({ length: groups }, (_, i) => kernels.slice(begin(i), begin(i + 1)));
}

/** A kernel's source beside others: what it declares is its own. */
function apart({ source }: Kernel, index: number): string {
  return `namespace kernel_${index} {\n${source}\n}\n`;
}

/**
 * A precompiled header that the compiler cannot map to where it was made is left out: objects are the same. Kernels that do
 * not go together are compiled one by one.
 */
async function compileUnit(
  compiler: CxxCompiler,
  { name, source, kernels = [], flags, object }: Unit,
  include: string,
  precompiled: readonly string[],
): Promise<void> {
  await cachedCompile(object, name, async (output, folder) => {
    const compile = async (symbol: string, text: string, to: string) => {
      const file = join(folder, `${symbol}.cpp`);
      await writeFile(file, text);
      const compileWith = (begin: readonly string[]) =>
        run(compiler, [...flags, ...begin, `-I${include}`, "-c", file, "-o", to], `kernel ${symbol}`);
      if (precompiled.length === 0) await compileWith([]);
      else await compileWith(precompiled).catch(() => compileWith([]));
    };
    if (kernels.length < 2) return compile(name, source, output);
    await compile(name, source, output).catch(async () => {
      const objects = kernels.map(({ symbol }) => join(folder, `${symbol}.o`));
      for (const [index, { symbol, source }] of kernels.entries())
        await compile(symbol, source, objects[index]!);
      await run(compiler, ["-r", "-nostdlib", ...objects, "-o", output], name);
    });
  });
}
