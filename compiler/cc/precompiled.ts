import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { cachedCompile, hashOf, objectPath } from "./cache.js";
import { type CxxCompiler, run } from "./compilers.js";
import type { Includes } from "./includes.js";

/** A header that many sources begin with, and how it is compiled. */
interface Prefix {
  readonly compiler: CxxCompiler;
  /** As sources include it. */
  readonly header: string;
  readonly flags: readonly string[];
  /** The folder of headers. */
  readonly include: string;
}

/** So many compilations save what precompiling takes; once it is made, the header lies in the cache. */
const worthwhile = 3;

/**
 * The flags that make a compilation begin with a precompiled header: the compiler's own vector headers are 30,000
 * lines, a third of a second for each kernel. Objects are the same with it and without. None where few
 * `compilations` are to come and it is not there, or where the compiler does not make it: clang refuses a header whose
 * files were touched since.
 */
export async function precompiled(
  { compiler, header, flags, include }: Prefix,
  includes: Includes,
  compilations: number,
): Promise<readonly string[]> {
  if (compiler.version.includes("clang")) return [];
  const text = `#include "${header}"\n`;
  const path = objectPath(`${hashOf(compiler.version, flags.join(" "), await includes.hash(text), text)}.h`);
  if (!existsSync(`${path}.gch`)) {
    if (compilations < worthwhile) return [];
    try {
      // The compiler reads this one where it does not like the other.
      await cachedCompile(path, header, (output) => writeFile(output, text));
      await cachedCompile(`${path}.gch`, header, async (output, folder) => {
        const source = join(folder, "prefix.h");
        await writeFile(source, text);
        await run(compiler, [...flags, `-I${include}`, "-x", "c++-header", source, "-o", output], header);
      });
    } catch {
      return []; // What is wrong with the compiler or with the header, each compilation says for itself.
    }
  }
  return ["-include", path];
}
