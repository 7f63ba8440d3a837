import { existsSync } from "node:fs";
import { readdir, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { cacheFolder } from "../support/paths.js";
import { cachedCompile, hashOf, objectPath } from "./cache.js";
import { type CxxCompiler, run } from "./compilers.js";
import type { Includes } from "./includes.js";

/** What many sources begin with, and how it is compiled. */
interface Prefix {
  readonly compiler: CxxCompiler;
  /** A line or more that include headers. */
  readonly text: string;
  readonly flags: readonly string[];
  /** Folders of headers. */
  readonly include: readonly string[];
  readonly includes: Includes;
}

/** So many compilations save what precompiling takes; once it is made, the header lies in the cache. */
const worthwhile = 3;

/** A precompiled header that nobody has used for so long is removed: it takes 30 to 90 MB. */
const keptMs = 14 * 24 * 3_600_000;

/**
 * The flags that make a compilation begin with a precompiled header: the compiler's own vector headers, for example, are
 * 30,000 lines, a third of a second for each kernel. Code is the same with it and without. None where few
 * `compilations` are to come and it is not there, or where the compiler does not make it.
 */
export async function precompiled(prefix: Prefix, compilations: number): Promise<readonly string[]> {
  const { compiler, text, flags, include, includes } = prefix;
  const isClang = compiler.version.includes("clang");
  // clang looks for the headers where they were when it precompiled them.
  const folders = isClang ? include : [];
  const path = objectPath(
    `${hashOf(compiler.version, flags.join(" "), await includes.hash(text), text, ...folders)}.h`,
  );
  const output = `${path}.gch`;
  if (!existsSync(output)) {
    if (compilations < worthwhile) return [];
    try {
      // g++ reads this one where it does not like the other; clang wants it to be there.
      await cachedCompile(path, "prefix", (made) => writeFile(made, text));
      await cachedCompile(output, "prefix", async (made, folder) => {
        const source = join(folder, "prefix.h");
        await writeFile(source, text);
        // Without it, clang refuses the header when a file was touched, though it says what it said.
        const more = isClang ? ["-Xclang", "-fno-pch-timestamp"] : [];
        const args = [...flags, ...more, ...include.map((one) => `-I${one}`), "-x", "c++-header"];
        await run(compiler, [...args, isClang ? path : source, "-o", made], text);
      });
      await removeOld();
    } catch {
      return []; // What is wrong with the compiler or with the header, each compilation says for itself.
    }
  }
  const now = new Date();
  await utimes(output, now, now).catch(() => {});
  return isClang ? ["-include-pch", output] : ["-include", path];
}

/** Removes precompiled headers that were not used for two weeks: of an earlier compiler, or of headers that have changed. */
async function removeOld(): Promise<void> {
  const folder = join(cacheFolder(), "objects");
  const names = (await readdir(folder)).filter((name) => name.endsWith(".gch"));
  for (const name of names) {
    const file = join(folder, name);
    const used = await stat(file).catch(() => null);
    if (used === null || Date.now() - used.mtimeMs < keptMs) continue;
    await rm(file, { force: true });
    await rm(file.slice(0, -".gch".length), { force: true });
  }
}
