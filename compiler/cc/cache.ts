import { createHash } from "node:crypto";
import { copyFile, readdir, readFile, rename, rm } from "node:fs/promises";
import { extname, join } from "node:path";
import { makeCacheFolder } from "../support/cache-folder.js";
import { GsicError } from "../support/errors.js";
import { cacheFolder } from "../support/paths.js";
import { temporaryFolder } from "../support/temporary.js";

/** The path of a compiled file in the cache. */
export function objectPath(name: string): string {
  return join(cacheFolder(), "objects", name);
}

/**
 * The contents of `outputs`, which `make` writes, under their bare names, into a folder if one of them is not there.
 * Each file appears whole or not at all.
 */
export async function cached(
  outputs: readonly string[],
  what: string,
  make: (made: readonly string[], folder: string) => Promise<void>,
): Promise<Buffer[]> {
  const present = await Promise.all(outputs.map((output) => readFile(output).catch(() => null)));
  if (!present.includes(null)) return present as Buffer[];
  await makeCacheFolder(join(cacheFolder(), "objects"));
  const folder = await temporaryFolder("cc");
  try {
    const made = outputs.map((_, index) => join(folder, `output${index}`));
    await make(made, folder);
    for (const [index, output] of outputs.entries()) await store(made[index]!, output, what);
    return await Promise.all(made.map((file) => readFile(file)));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Makes `output` through `make` unless it is there; the file appears whole or not at all. */
export async function cachedCompile(
  output: string,
  what: string,
  make: (output: string, folder: string) => Promise<void>,
): Promise<void> {
  await cached([output], what, ([made], folder) => make(made!, folder));
}

async function store(made: string, output: string, what: string): Promise<void> {
  const beside = `${output}.${process.pid}.tmp`;
  await copyFile(made, beside).catch(async (cause: unknown) => {
    await rm(beside, { force: true });
    throw new GsicError({
      category: "environment",
      code: "cache-unwritable",
      message: `cannot store the compiled ${what}`,
      where: beside,
      hint: "free space, or set GSIC_CACHE to a folder that can be written",
      cause,
    });
  });
  await rename(beside, output);
}

/** Hash of the names and contents of all files below folders that end so. */
export async function contentHash(
  folders: readonly string[],
  endings: readonly string[] = [".h", ".cpp", ".map"],
): Promise<string> {
  const hash = createHash("sha256");
  for (const folder of folders) {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    const files = entries
      .filter((entry) => entry.isFile() && endings.includes(extname(entry.name)))
      .map((entry) => join(entry.parentPath, entry.name))
      .sort();
    for (const file of files)
      hash
        .update(`${file.slice(folder.length)}\0`)
        .update(await readFile(file))
        .update("\0");
  }
  return hash.digest("hex");
}

/** The first 40 hex digits of the SHA-256 of all parts, each followed by a zero byte so that they do not run together. */
export function hashOf(...parts: readonly string[]): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part).update("\0");
  return hash.digest("hex").slice(0, 40);
}
