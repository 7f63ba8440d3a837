import { chmod, copyFile } from "node:fs/promises";
import { join } from "node:path";
import { buildRuntime, prepareRuntime } from "../cc/index.js";
import { buildFiles, namedFiles } from "../config/build-files.js";
import { runtimeFolder } from "../support/paths.js";
import type { Progress } from "../support/progress.js";

/** Copies the executable, the shared library and its header into a build; compiles them where they are not cached. */
export async function copyProducts(staging: string, name: string, progress: Progress): Promise<void> {
  await prepareRuntime(["library", "executable"], progress);
  const named = namedFiles(name);
  const executable = join(staging, named.executable);
  await copyFile(await buildRuntime("executable"), executable);
  await chmod(executable, 0o755);
  await copyFile(await buildRuntime("library"), join(staging, named.library));
  await copyFile(join(runtimeFolder, "include/gsic.h"), join(staging, buildFiles.header));
}
