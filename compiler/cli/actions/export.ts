import { resolve } from "node:path";
import { inputsOf } from "../../build.js";
import { openBuild } from "../../build-folder/open.js";
import { refuseOverwrite } from "../../build-folder/publish.js";
import { prepareRuntime } from "../../cc/index.js";
import { type ExportReport, exportGguf } from "../../export/command.js";
import type { GgufType } from "../../read/gguf-types.js";
import { terminalProgress } from "../../support/progress.js";
import { size } from "../../support/text.js";
import type { Json } from "../options.js";
import { print } from "../output.js";

/** `gsic export`. */
export async function exportBuild(
  path: string,
  options: Json & { gguf: string; type?: GgufType },
): Promise<void> {
  const progress = terminalProgress();
  const built = openBuild(path);
  const out = resolve(options.gguf);
  refuseOverwrite(out, [...inputsOf(built.config), ...built.files]);
  await prepareRuntime(["tool"], progress);
  try {
    const report = await exportGguf(built, out, options.type ?? null, progress);
    progress.finish();
    print(options.json ? JSON.stringify(report) : exportText(report));
  } finally {
    progress.finish();
  }
}

function exportText({ out, tensors, bytes, bits_per_weight: bits }: ExportReport): string {
  return `${out}: ${tensors} tensors, ${size(bytes)}, ${bits.toFixed(2)} bits a weight`;
}
