/** The file in which a server keeps its KV cache for the next one. */

import { accessSync, constants, existsSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { Batch } from "../load.js";
import { cannotWrite } from "../support/cannot-write.js";
import { GsicError, messageOf } from "../support/errors.js";

/**
 * Reads what an earlier server kept, if the file is there; how many tokens that are. Throws `cache-refused` (category
 * data), and `cache-unwritable` (category environment) where it could not be kept at the end.
 */
export async function readCache(batch: Batch, file: string | undefined): Promise<number> {
  if (file === undefined) return 0;
  try {
    accessSync(dirname(resolve(file)), constants.W_OK);
  } catch (cause) {
    throw unwritable(file, cause);
  }
  const path = resolve(file);
  if (!existsSync(path)) return 0;
  return batch.loadCache(path).catch((cause: unknown) => {
    throw new GsicError({
      category: "data",
      code: "cache-refused",
      message: messageOf(cause),
      where: file,
      hint: "name another --cache-file, or remove this one: the cache then begins empty",
      cause,
    });
  });
}

/** Keeps a batch's cache, once no request runs. Throws `cache-unwritable` (category environment). */
export async function keepCache(batch: Batch, file: string): Promise<void> {
  await batch.saveCache(file).catch((cause: unknown) => {
    throw unwritable(file, cause);
  });
}

function unwritable(file: string, cause: unknown): GsicError {
  const hint = "name a --cache-file in a folder that may be written";
  return cannotWrite(file, cause, { code: "cache-unwritable", hint });
}
