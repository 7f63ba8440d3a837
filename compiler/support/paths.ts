import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

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

/** Folder of everything that gsic caches: objects, plans, downloads. A variable that is empty counts as none. */
export function cacheFolder(): string {
  const { GSIC_CACHE, XDG_CACHE_HOME } = process.env;
  return GSIC_CACHE || join(XDG_CACHE_HOME || join(homedir(), ".cache"), "gsic");
}

function findPackageRoot(start: string): string {
  for (let folder = start; ; folder = dirname(folder)) {
    if (existsSync(join(folder, "package.json")) && existsSync(join(folder, "templates"))) return folder;
    if (folder === dirname(folder)) throw new Error(`no package.json above ${start}`);
  }
}
