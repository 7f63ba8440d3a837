import { mkdir } from "node:fs/promises";
import { cannotWrite } from "./cannot-write.js";
import { messageOf } from "./errors.js";

/** Makes a folder of the cache, which may be there; returns it. Throws `cache-unwritable` (category environment). */
export async function makeCacheFolder(folder: string): Promise<string> {
  try {
    await mkdir(folder, { recursive: true });
    return folder;
  } catch (cause) {
    throw cannotWrite(folder, cause, {
      code: "cache-unwritable",
      message: `there is no place for the cache: ${messageOf(cause)}`,
      hint: "set GSIC_CACHE to a folder that can be written",
    });
  }
}
