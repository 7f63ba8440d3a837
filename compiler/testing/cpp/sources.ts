import { existsSync } from "node:fs";
import { join } from "node:path";
import { execute } from "../../support/process.js";

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

/** Where C++ is written by hand, and emitted kernels that tests compare with. */
const patterns = [
  ...["runtime", "templates/include", "compiler", "examples"].flatMap((folder) =>
    ["cpp", "h", "hpp"].map((ending) => `:(glob)${folder}/**/*.${ending}`),
  ),
  ":(exclude,glob)**/golden/**",
  ":(exclude,glob)**/golden-tiers/**",
];

/** All C++ files of the repository `root` that people write, sorted, from it: what git has, or would take. */
export async function cppFiles(root: string): Promise<string[]> {
  const list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", ...patterns];
  const { code, stdout, stderr } = await execute("git", list, root);
  if (code !== 0) throw new Error(`git cannot list the files of ${root}: ${stderr.trim()}`);
  const files = stdout.split("\0").filter((file) => file !== "" && existsSync(join(root, file)));
  return [...new Set(files)].sort();
}
