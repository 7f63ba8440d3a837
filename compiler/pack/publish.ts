import { existsSync } from "node:fs";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { GsicError, messageOf } from "../errors.js";

/** Marks a folder as one that gsic wrote, so that a build never replaces anything else. */
export const marker = "report.json";

/**
 * Runs `make` in a new folder beside `out` and puts that folder in the place of `out` when it is complete. A build
 * that fails or is killed leaves the previous one untouched. Throws `output-*` errors.
 */
export async function publish<T>(out: string, make: (staging: string) => Promise<T>): Promise<T> {
  if (existsSync(out) && !existsSync(join(out, marker))) {
    throw new GsicError({
      category: "usage",
      code: "output-not-a-build",
      message: "the output folder exists, and is not an earlier build",
      where: out,
      hint: "choose another folder with --out, or remove it",
    });
  }
  const parent = dirname(out);
  const unlock = await lock(join(parent, `.${basename(out)}.lock`), out);
  const staging = join(parent, `.${basename(out)}.staging`);
  const previous = join(parent, `.${basename(out)}.previous`);
  try {
    // What a killed build left: the lock says that nobody works on it.
    await rm(staging, { recursive: true, force: true });
    if (existsSync(previous) && !existsSync(out)) await rename(previous, out);
    await rm(previous, { recursive: true, force: true });
    await mkdir(staging);
    const result = await make(staging);
    if (existsSync(out)) await rename(out, previous);
    await rename(staging, out);
    await rm(previous, { recursive: true, force: true });
    return result;
  } finally {
    await rm(staging, { recursive: true, force: true });
    await unlock();
  }
}

/** Takes a lock file that holds this process's id; a lock of a process that is gone is taken over. */
async function lock(file: string, out: string): Promise<() => Promise<void>> {
  try {
    await mkdir(dirname(file), { recursive: true });
    for (let attempt = 0; attempt < 3; attempt++) {
      const taken = await writeFile(file, String(process.pid), { flag: "wx" }).then(
        () => true,
        (cause: NodeJS.ErrnoException) => {
          if (cause.code === "EEXIST") return false;
          throw cause;
        },
      );
      if (taken) return () => rm(file, { force: true });
      if (isAlive(Number(await readFile(file, "utf8").catch(() => "0")))) break;
      await rm(file, { force: true });
    }
  } catch (cause) {
    throw new GsicError({
      category: "environment",
      code: "output-unwritable",
      message: messageOf(cause),
      where: out,
      hint: "choose a folder that can be written with --out",
      cause,
    });
  }
  throw new GsicError({
    category: "usage",
    code: "output-busy",
    message: "another build writes to this folder",
    where: out,
    hint: `wait for it, or remove ${file} if it has died`,
  });
}

function isAlive(pid: number): boolean {
  if (!Number.isSafeInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code === "EPERM";
  }
}
