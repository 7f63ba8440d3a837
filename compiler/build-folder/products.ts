import { chmod, copyFile } from "node:fs/promises";
import { join } from "node:path";
import { buildRuntime } from "../cc/index.js";
import { runtimeFolder } from "../support/paths.js";

/** Copies the executable, the shared library and its header into a build; compiles them where they are not cached. */
export async function copyProducts(
  staging: string,
  name: string,
  progress: (done: number, total: number) => void,
): Promise<void> {
  const executable = join(staging, name);
  await copyFile(await buildRuntime("executable", progress), executable);
  await chmod(executable, 0o755);
  await copyFile(await buildRuntime("library"), join(staging, `lib${name}.so`));
  await copyFile(join(runtimeFolder, "include/gsic.h"), join(staging, "gsic.h"));
}
