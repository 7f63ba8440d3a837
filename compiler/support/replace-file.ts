import { rename, rm, writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import { cannotWrite } from "./cannot-write.js";

/**
 * Replaces a file in one step: `fill` writes another one beside it. Throws an error of category environment with `code`
 * and `hint` where that cannot be done, and leaves nothing behind.
 */
export async function replaceFile(
  file: string,
  fill: (beside: string) => Promise<void>,
  { code, hint }: { readonly code: string; readonly hint: string },
): Promise<void> {
  const beside = `${file}.${process.pid}.tmp`;
  try {
    await fill(beside);
    await rename(beside, file);
  } catch (cause) {
    await rm(beside, { force: true });
    throw cannotWrite(file, cause, { code, hint });
  }
}

/** Replaces a file in one step. Throws `output-unwritable` (category environment). */
export function writeWhole(out: string, content: string | Uint8Array): Promise<void> {
  return replaceFile(resolve(out), (beside) => writeFile(beside, content), {
    code: "output-unwritable",
    hint: "choose a place that can be written",
  });
}
