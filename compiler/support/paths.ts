import { existsSync } from "node:fs";
import { homedir, userInfo } from "node:os";
import { dirname, isAbsolute, join } from "node:path";
import { fileURLToPath } from "node:url";
import { GsicError } from "./errors.js";

/** The folder that holds package.json, whether gsic runs from `dist/` or from its sources. */
export const packageRoot = findPackageRoot(dirname(fileURLToPath(import.meta.url)));

/** Templates of kernels, and the headers that they include. */
export const templatesFolder = join(packageRoot, "templates");
/** Targets, one a file: `<name>.toml`. */
export const targetsFolder = join(packageRoot, "targets");
/** Sources of the runtime, its tools and its bindings. */
export const runtimeFolder = join(packageRoot, "runtime");

/** Whether gsic runs from a checkout, which has compiler/setup.mjs, and not from an installed package. */
export const isCheckout = existsSync(join(packageRoot, "compiler/setup.mjs"));

/**
 * Folder of everything that gsic caches: objects, plans, downloads. A variable that is empty counts as none. Throws
 * `cache-unwritable` (category environment) where there is no home folder either.
 */
export function cacheFolder(): string {
  const { GSIC_CACHE, XDG_CACHE_HOME } = process.env;
  return GSIC_CACHE || join(XDG_CACHE_HOME || join(homeFolder(), ".cache"), "gsic");
}

/** The user's own folder, whether or not HOME says it: a container's user may have neither that nor an entry of the system's. */
function homeFolder(): string {
  let cause: unknown;
  try {
    const found = homedir() || userInfo().homedir;
    if (isAbsolute(found)) return found;
  } catch (error) {
    cause = error;
  }
  throw new GsicError({
    category: "environment",
    code: "cache-unwritable",
    message: "there is no place for the cache: this user has no home folder",
    where: "HOME",
    hint: "set GSIC_CACHE to a folder that can be written",
    cause,
  });
}

function findPackageRoot(start: string): string {
  for (let folder = start; ; folder = dirname(folder)) {
    if (existsSync(join(folder, "package.json")) && existsSync(join(folder, "templates"))) return folder;
    if (folder === dirname(folder)) throw new Error(`no package.json above ${start}`);
  }
}
