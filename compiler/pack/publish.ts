import { existsSync, readFileSync, renameSync, rmSync } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join, relative, sep } from "node:path";
import { setTimeout } from "node:timers/promises";
import { GsicError, messageOf } from "../errors.js";

/** Marks a folder as one that gsic wrote, so that a build never replaces anything else. */
export const marker = "report.json";

/**
 * Refuses an output folder that is not an earlier build, or that holds what the build reads: it would be replaced
 * whole. Throws `output-not-a-build` and `output-holds-input` (category usage).
 */
export function checkOutput(out: string, inputs: readonly string[] = []): void {
  if (existsSync(out) && !isBuild(out)) {
    throw new GsicError({
      category: "usage",
      code: "output-not-a-build",
      message: "the output folder exists, and is not an earlier build",
      where: out,
      hint: "choose another folder with --out, or remove it",
    });
  }
  const inside = inputs.find((input) => {
    const path = relative(out, input);
    return path !== ".." && !path.startsWith(`..${sep}`);
  });
  if (inside === undefined) return;
  throw new GsicError({
    category: "usage",
    code: "output-holds-input",
    message: `the build would replace ${inside}, which it reads`,
    where: out,
    hint: "choose another folder with --out",
  });
}

/** Whether a folder holds a report that gsic wrote. */
function isBuild(folder: string): boolean {
  try {
    const report = JSON.parse(readFileSync(join(folder, marker), "utf8")) as { gsic?: unknown };
    return typeof report.gsic === "string";
  } catch {
    return false;
  }
}

/**
 * Runs `make` in a new folder beside `out` and puts that folder in the place of `out` when it is complete. A build
 * that fails, is interrupted or is killed leaves the previous one untouched. Throws `output-*` errors.
 */
export async function publish<T>(out: string, make: (staging: string) => Promise<T>): Promise<T> {
  checkOutput(out);
  const parent = dirname(out);
  const lockFile = join(parent, `.${basename(out)}.lock`);
  const staging = join(parent, `.${basename(out)}.staging`);
  const previous = join(parent, `.${basename(out)}.previous`);
  await lock(lockFile, out);
  // Synchronous, so that no signal comes between two steps.
  const clean = () => {
    if (existsSync(previous) && !existsSync(out)) renameSync(previous, out);
    rmSync(staging, { recursive: true, force: true });
    rmSync(previous, { recursive: true, force: true });
  };
  const release = onInterrupt(() => {
    clean();
    rmSync(lockFile, { force: true });
  });
  try {
    // What a killed build left: the lock says that nobody works on it.
    clean();
    await mkdir(staging);
    const result = await make(staging);
    if (existsSync(out)) renameSync(out, previous);
    renameSync(staging, out);
    return result;
  } finally {
    clean();
    await rm(lockFile, { force: true });
    release();
  }
}

/** Calls `clean` when a signal ends the process; returns what takes that back. */
function onInterrupt(clean: () => void): () => void {
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  const handler = (signal: NodeJS.Signals) => {
    release();
    clean();
    process.kill(process.pid, signal);
  };
  const release = () => {
    for (const signal of signals) process.off(signal, handler);
  };
  for (const signal of signals) process.on(signal, handler);
  return release;
}

/** Takes a lock file that holds this process's id; a lock of a process that is gone is taken over. */
async function lock(file: string, out: string): Promise<void> {
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
      if (taken) return;
      if (isAlive(await holderOf(file))) break;
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

/** The process id in a lock file; a process that has just made the file is given time to write it. */
async function holderOf(file: string): Promise<number> {
  for (let attempt = 0; attempt < 5; attempt++) {
    const text = await readFile(file, "utf8").catch(() => "0");
    if (text !== "") return Number(text);
    await setTimeout(50);
  }
  return 0;
}

/** Whether a process runs. */
export function isAlive(pid: number): boolean {
  if (!Number.isSafeInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code === "EPERM";
  }
}
