import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { format } from "@wasm-fmt/clang-format";
import type { Violation } from "./sources.js";

/**
 * Files that are not written as .clang-format of `root` says. clang-format comes as WebAssembly in an npm package: the
 * check needs no more than `npm ci`, and every machine has the same version, whose output is what counts as formatted.
 * With `fix` they are rewritten instead, and the result is empty.
 */
export async function formatViolations(
  root: string,
  files: readonly string[],
  fix = false,
): Promise<Violation[]> {
  const style = await readFile(join(root, ".clang-format"), "utf8");
  const violations: Violation[] = [];
  for (const file of files) {
    const text = await readFile(join(root, file), "utf8");
    const formatted = format(text, file, style);
    if (formatted === text) continue;
    if (fix) await writeFile(join(root, file), formatted);
    else violations.push({ file, line: firstDifference(text, formatted), ...unformatted });
  }
  return violations;
}

const unformatted = { what: "is not formatted as .clang-format says", next: "npm run fix" };

/** The first line, from 1, in which two texts differ. */
function firstDifference(one: string, other: string): number {
  const others = other.split("\n");
  return one.split("\n").findIndex((line, index) => line !== others[index]) + 1;
}
