import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isAlive } from "./process.js";

let swept: Promise<void> | undefined;

/**
 * A new folder for files that nobody needs afterwards; the caller removes it. The first call removes the folders of
 * processes that were killed.
 */
export async function temporaryFolder(purpose: string): Promise<string> {
  swept ??= sweep();
  await swept;
  return mkdtemp(join(tmpdir(), `gsic-${purpose}-${process.pid}-`));
}

async function sweep(): Promise<void> {
  for (const name of await readdir(tmpdir()).catch(() => [])) {
    const pid = /^gsic-[a-z]+-(\d+)-/.exec(name)?.[1];
    if (pid === undefined || isAlive(Number(pid))) continue;
    // Another user's, or already gone: not ours to complain about.
    await rm(join(tmpdir(), name), { recursive: true, force: true }).catch(() => {});
  }
}
