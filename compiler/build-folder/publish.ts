import { spawnSync } from "node:child_process";
import {
  accessSync,
  constants,
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { basename, dirname, join, relative, sep } from "node:path";
import { buildRuntime } from "../cc/index.js";
import { unwritable } from "../read/file.js";
import { cannotWrite } from "../support/cannot-write.js";
import { GsicError } from "../support/errors.js";
import { onInterrupt } from "../support/interrupt.js";
import { lock } from "./lock.js";

/** Marks a folder as one that gsic wrote, so that a build never replaces anything else. */
const marker = "report.json";

/**
 * Refuses an output folder that is not an earlier build, or that holds what the build reads: it would be replaced
 * whole. Throws `output-not-a-build`, `output-dangling-link` and `output-holds-input` (category usage).
 */
export function checkOutput(out: string, inputs: readonly string[] = []): void {
  if (!existsSync(out) && isLink(out)) {
    throw new GsicError({
      category: "usage",
      code: "output-dangling-link",
      message: "the output folder is a symbolic link to what is not there",
      where: out,
      hint: "make the folder that it leads to, remove the link, or choose another folder with --out",
    });
  }
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

function isLink(path: string): boolean {
  try {
    return lstatSync(path).isSymbolicLink();
  } catch {
    return false;
  }
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

/** Files of the staging folder that a later build may go on with. */
export interface Resumable {
  /** Their names. */
  readonly names: readonly string[];
  /** Whether what lies in the staging folder is worth the room that it takes after a build was interrupted. */
  readonly isWorthKeeping: (staging: string) => boolean;
}

const nothing: Resumable = { names: [], isWorthKeeping: () => false };

/**
 * Runs `make` in a folder beside `out` and puts that folder in the place of `out` when it is complete. A build that
 * fails, is interrupted or is killed leaves the previous one untouched; one that failed leaves nothing else. `make`
 * finds in the folder what an interrupted build left of `resumable`, and nothing else. Throws `output-*` errors.
 */
export async function publish<T>(
  out: string,
  make: (staging: string) => Promise<T>,
  resumable: Resumable = nothing,
): Promise<T> {
  checkOutput(out);
  const parent = dirname(out);
  const lockFile = join(parent, `.${basename(out)}.lock`);
  const staging = join(parent, `.${basename(out)}.staging`);
  const previous = join(parent, `.${basename(out)}.previous`);
  await lock(lockFile, out);
  // Synchronous, so that no signal comes between two steps.
  const clean = (kept: readonly string[]) => {
    if (existsSync(previous) && !existsSync(out)) renameSync(previous, out);
    rmSync(previous, { recursive: true, force: true });
    if (kept.length === 0) rmSync(staging, { recursive: true, force: true });
    else keepOnly(staging, kept);
  };
  const release = onInterrupt(() => {
    const kept = resumable.isWorthKeeping(staging);
    clean(kept ? resumable.names : []);
    rmSync(lockFile, { force: true });
    if (kept) process.stderr.write(`gsic: the next build goes on from here; or remove ${staging}\n`);
  });
  try {
    // What a killed build left: the lock says that nobody works on it.
    clean(resumable.names);
    await mkdir(staging, { recursive: true });
    const result = await make(staging).catch((cause: unknown) => {
      throw isUnwritable(cause) ? unwritable(out, cause) : cause;
    });
    if (!existsSync(out)) renameSync(staging, out);
    else if (!exchange(await buildRuntime("tool"), staging, out)) {
      renameSync(out, previous);
      renameSync(staging, out);
    }
    return result;
  } finally {
    clean([]);
    await rm(lockFile, { force: true });
    release();
  }
}

/** Removes everything but some files from a folder, if it is there. */
function keepOnly(folder: string, names: readonly string[]): void {
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder)) {
    if (!names.includes(name)) rmSync(join(folder, name), { recursive: true, force: true });
  }
}

/**
 * Exchanges two folders in one step, so that there is a whole build at every moment; returns whether the file system
 * can. Synchronous: a signal must not clean up while it happens.
 */
function exchange(tool: string, first: string, second: string): boolean {
  return spawnSync(tool, ["exchange", "--first", first, "--second", second]).status === 0;
}

/** Whether a file could not be written, for a reason that is not gsic's: a full or read-only disk, or no permission. */
function isUnwritable(cause: unknown): boolean {
  const code = cause instanceof GsicError ? undefined : (cause as NodeJS.ErrnoException | null)?.code;
  return ["ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EACCES", "EPERM", "EIO", "ENOTDIR"].includes(code ?? "");
}

/**
 * Refuses to write a file where it cannot stand, before anything is computed for it: in a folder that is missing or may
 * not be written, over what is no file, over one of `inputs`, or over what already stands in a folder among them. Throws
 * `output-unwritable` (category environment), `output-not-a-file` and `output-is-input` (category usage).
 */
export function refuseOverwrite(out: string, inputs: readonly string[]): void {
  requireFolder(out);
  if (!existsSync(out)) return;
  // A file takes the place of what is there, so that it would also do away with a device such as /dev/null.
  if (!statSync(out).isFile()) {
    throw new GsicError({
      category: "usage",
      code: "output-not-a-file",
      message: "a folder or a device stands where the file would be written",
      where: out,
      hint: "choose another file",
    });
  }
  const real = realpathSync(out);
  const input = inputs.find((one) => {
    const path = existsSync(one) ? relative(realpathSync(one), real) : "..";
    return path !== ".." && !path.startsWith(`..${sep}`);
  });
  if (input === undefined) return;
  throw new GsicError({
    category: "usage",
    code: "output-is-input",
    message: `the file would replace what this command reads, ${input}`,
    where: out,
    hint: "choose another file",
  });
}

function requireFolder(out: string): void {
  try {
    accessSync(dirname(out), constants.W_OK);
  } catch (cause) {
    throw cannotWrite(out, cause, { code: "output-unwritable", hint: "choose a place that can be written" });
  }
}
