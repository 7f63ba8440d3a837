import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cannotWrite } from "./cannot-write.js";
import { messageOf } from "./errors.js";
import { isAlive } from "./process.js";

let swept: Promise<void> | undefined;

/**
 * A new folder for files that nobody needs afterwards; the caller removes it. The first call removes the folders of
 * processes that were killed. Throws `temporary-unwritable` (category environment).
 */
export async function temporaryFolder(purpose: string): Promise<string> {
  swept ??= sweep();
  await swept;
  const folder = tmpdir();
  return mkdtemp(join(folder, `gsic-${purpose}-${process.pid}-`)).catch((cause: unknown) => {
    throw cannotWrite(folder, cause, {
      code: "temporary-unwritable",
      message: `there is no place for temporary files: ${messageOf(cause)}`,
      hint: "set TMPDIR to a folder that can be written, and has room",
    });
  });
}

async function sweep(): Promise<void> {
  for (const name of await readdir(tmpdir()).catch(() => [])) {
    const pid = /^gsic-[a-z]+-(\d+)-/.exec(name)?.[1];
    if (pid === undefined || isAlive(Number(pid))) continue;
    // Another user's, or already gone: not ours to complain about.
    await rm(join(tmpdir(), name), { recursive: true, force: true }).catch(() => {});
  }
}
