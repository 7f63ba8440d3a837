import { readdirSync, statSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { join } from "node:path";
import { GsicError } from "../support/errors.js";
import { size } from "../support/text.js";

/**
 * Refuses to begin what the disk has no room for. `staging` is the folder that will hold `bytes`, of which it may hold
 * some already; `out` is named in the error. Throws `disk-full` (category environment).
 */
export async function requireRoom(staging: string, bytes: number, out: string): Promise<void> {
  const missing = bytes - heldBy(staging) - (await freeBytes(staging));
  if (missing <= 0) return;
  throw new GsicError({
    category: "environment",
    code: "disk-full",
    message: `the build takes ${size(bytes)}, and the disk is ${size(missing)} short of that`,
    where: out,
    hint: "free that much, or choose another disk with --out; an earlier build stays until the new one is whole",
  });
}

/** Bytes that a folder's disk has left for this user. */
export async function freeBytes(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}

/** Bytes that the files of a folder take on the disk. */
function heldBy(folder: string): number {
  return readdirSync(folder).reduce((sum, name) => sum + 512 * statSync(join(folder, name)).blocks, 0);
}
