import { rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { modeOf, openBuild } from "../../build-folder/open.js";
import { refuseOverwrite } from "../../build-folder/publish.js";
import { runTool } from "../../cc/tool.js";
import type { Mode } from "../../ir/program.js";
import { temporaryFolder } from "../../support/temporary.js";

/** `gsic logits`. */
export async function logits(
  path: string,
  options: { ids: number[]; mode?: Mode; out: string },
): Promise<void> {
  const built = openBuild(path);
  const mode = modeOf(built, options.mode);
  refuseOverwrite(resolve(options.out), built.files);
  const folder = await temporaryFolder("logits");
  try {
    const file = join(folder, "ids");
    await writeFile(file, Int32Array.from(options.ids));
    await runTool([
      "logits",
      built.bundle,
      "--mode",
      mode,
      "--ids-file",
      file,
      "--out",
      resolve(options.out),
    ]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
