import { readdir } from "node:fs/promises";
import { extname, join, relative } from "node:path";

/** A rule that a C++ file breaks. */
export interface Violation {
  /** The file, from the root of the repository. */
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** What is wrong, in a line; a compiler's message has more. */
  readonly what: string;
  /** What to do about it. */
  readonly next: string;
}

/** Where C++ is written by hand. */
const folders = ["runtime", "templates/include", "compiler", "examples"];
/** Emitted kernels that tests compare with, and what is no source. */
const left = new Set(["golden", "golden-tiers", "node_modules", "build"]);

/** All C++ files below `root` that people write, sorted, from it. */
export async function cppFiles(root: string): Promise<string[]> {
  const found = await Promise.all(folders.map((folder) => filesBelow(join(root, folder))));
  return found
    .flat()
    .map((file) => relative(root, file))
    .sort();
}

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const found = await Promise.all(
    entries.map((entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return left.has(entry.name) ? [] : filesBelow(path);
      return [".cpp", ".h", ".hpp"].includes(extname(entry.name)) ? [path] : [];
    }),
  );
  return found.flat();
}
