import { resolve } from "node:path";
import type { Command } from "commander";
import { openBuild } from "../../build-folder/open.js";
import { refuseOverwrite } from "../../build-folder/publish.js";
import { prepareRuntime } from "../../cc/index.js";
import type { ExportReport } from "../../export/command.js";
import { exportTypes } from "../../export/types.js";
import type { GgufType } from "../../read/gguf-types.js";
import { terminalProgress } from "../../support/progress.js";
import { size } from "../../support/text.js";
import { choice, type Json, jsonOption } from "../options.js";
import { print } from "../output.js";

/** Adds `gsic export`. */
export function addExport(gsic: Command): void {
  gsic
    .command("export <build>")
    .description("write a build's model as a GGUF file for llama.cpp")
    .requiredOption("--gguf <file>", "where to write it")
    .addOption(choice("--type <type>", "the type of every matrix (default: as planned)", exportTypes))
    .addOption(jsonOption())
    .addHelpText("after", "\nExample: gsic export build/smollm2 --gguf smollm2.gguf --type q4_k")
    .action(exportBuild);
}

/** `gsic export`. */
async function exportBuild(path: string, options: Json & { gguf: string; type?: GgufType }): Promise<void> {
  const { inputsOf } = await import("../../build.js");
  const { exportGguf } = await import("../../export/command.js");
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
