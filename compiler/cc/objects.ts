import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { inParallel } from "../support/process.js";
import { cachedCompile, hashOf, objectPath } from "./cache.js";
import { type CxxCompiler, run } from "./compilers.js";
import { Includes } from "./includes.js";

/** A C++ source, and what its object depends on besides headers of the repository. */
export interface Source {
  readonly path: string;
  readonly text: string;
  /** Absolute folders of headers that this source needs besides those of all. */
  readonly packages: readonly string[];
  /** Names the packages in the object's key: folders differ between machines. */
  readonly packageNames: readonly string[];
}

/** How sources are compiled. */
export interface Compilation {
  readonly compiler: CxxCompiler;
  readonly flags: readonly string[];
  /** Absolute folders of headers. */
  readonly include: readonly string[];
  /**
   * How many sources of a folder are compiled as one text: what headers hold is then read, and templates are
   * instantiated, once for all. The runtime takes less than half of the time (examples/bench/compile-time.md).
   */
  readonly together: number;
  /** Of `include`, where headers were read before. */
  readonly includes?: Includes;
  /** Begins at the other end: for one of two processes that compile the same, so that neither makes what the other has. */
  readonly backwards?: boolean;
}

/** Told how many sources are compiled, from 0 on; nothing where none has to be. */
export type SourceCount = (done: number, total: number) => void;

/** Sources that become one object. */
interface Batch {
  readonly sources: readonly Source[];
  /** In the cache. */
  readonly object: string;
}

/** A source without headers of packages. */
export async function plainSource(path: string): Promise<Source> {
  return { path, text: await readFile(path, "utf8"), packages: [], packageNames: [] };
}

/** Of a source that wants the headers behind this line compiled in its way: it is compiled alone. */
const optimizesHeaders = /^#pragma GCC optimize/m;

/** Neighbours of one folder, in their order. */
function grouped(sources: readonly Source[], together: number): Source[][] {
  const groups: Source[][] = [];
  const open = new Map<string, Source[]>();
  for (const source of sources) {
    const folder = dirname(source.path);
    const group = open.get(folder);
    const alone = optimizesHeaders.test(source.text);
    if (!alone && group !== undefined && group.length < together) {
      group.push(source);
      continue;
    }
    groups.push([source]);
    if (!alone) open.set(folder, groups.at(-1)!);
  }
  return groups;
}

async function batchesOf(sources: readonly Source[], how: Compilation): Promise<Batch[]> {
  const { compiler, flags, include, together, includes = new Includes(include) } = how;
  const keyOf = async ({ path, text, packageNames }: Source) =>
    hashOf(JSON.stringify(packageNames), await includes.hash(text, dirname(path)), text);
  return Promise.all(
    grouped(sources, together).map(async (group) => {
      const keys = await Promise.all(group.map(keyOf));
      return {
        sources: group,
        object: objectPath(`${hashOf(compiler.version, flags.join(" "), ...keys)}.o`),
      };
    }),
  );
}

/** The object files of sources in the cache, whether or not they are there: a name changes when its object does. */
export async function objectsOf(sources: readonly Source[], how: Compilation): Promise<string[]> {
  return (await batchesOf(sources, how)).map(({ object }) => object);
}

/** Compiles the sources whose objects are not in the cache; returns all objects. */
export async function compileObjects(
  sources: readonly Source[],
  how: Compilation,
  progress: SourceCount = () => {},
): Promise<string[]> {
  const batches = await batchesOf(sources, how);
  const missing = batches.filter(({ object }) => !existsSync(object));
  const sizeOf = (batch: Batch) => batch.sources.reduce((sum, { text }) => sum + text.length, 0);
  // The longest first, so that no core waits long for another at the end.
  missing.sort((a, b) => sizeOf(b) - sizeOf(a));
  if (how.backwards === true) missing.reverse();
  const total = missing.reduce((sum, batch) => sum + batch.sources.length, 0);
  if (total > 0) progress(0, total);
  let done = 0;
  await inParallel(missing, async (batch) => {
    await compileBatch(batch, how);
    done += batch.sources.length;
    progress(done, total);
  });
  return batches.map(({ object }) => object);
}

/** Compiles sources as one text, or one by one where they do not go together: two may have a name of their own each. */
async function compileBatch({ sources, object }: Batch, how: Compilation): Promise<void> {
  const what = sources.map(({ path }) => path).join(", ");
  await cachedCompile(object, what, async (output, folder) => {
    const [first] = sources as [Source];
    if (sources.length === 1) return compile(first, first.path, output, how);
    const text = join(folder, "together.cpp");
    await writeFile(text, sources.map(({ path }) => `#include "${path}"\n`).join(""));
    await compile(first, text, output, how).catch(async () => {
      const objects: string[] = [];
      for (const [index, source] of sources.entries()) {
        objects.push(join(folder, `${index}.o`));
        await compile(source, source.path, objects.at(-1)!, how);
      }
      await run(how.compiler, ["-r", "-nostdlib", ...objects, "-o", output], what);
    });
  });
}

async function compile(
  { packages }: Source,
  file: string,
  output: string,
  { compiler, flags, include }: Compilation,
): Promise<void> {
  const folders = [...include, ...packages].map((folder) => `-I${folder}`);
  await run(compiler, [...flags, ...folders, "-c", file, "-o", output], file);
}
