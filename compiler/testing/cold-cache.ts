import { cpSync, mkdirSync } from "node:fs";
import { basename, join } from "node:path";
import { buildRuntime } from "../cc/index.js";

/**
 * Fills a cache (GSIC_CACHE) with the runtime's programs, which have nothing to do with a model, and with nothing else: a build has
 * its own work before it, and does not first compile for minutes what every test shares.
 */
export async function coldCache(folder: string): Promise<string> {
  const objects = join(folder, "objects");
  mkdirSync(objects, { recursive: true });
  for (const product of ["library", "executable", "tool"] as const) {
    const file = await buildRuntime(product);
    cpSync(file, join(objects, basename(file)));
  }
  return folder;
}
