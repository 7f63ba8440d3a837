import { existsSync } from "node:fs";
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

function findPackageRoot(start: string): string {
  for (let folder = start; ; folder = dirname(folder)) {
    if (existsSync(join(folder, "package.json")) && existsSync(join(folder, "templates"))) return folder;
    if (folder === dirname(folder)) throw new Error(`no package.json above ${start}`);
  }
}
