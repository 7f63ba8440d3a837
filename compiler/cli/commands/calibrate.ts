import { copyFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { Command } from "commander";
import { refuseOverwrite } from "../../build-folder/publish.js";
import { prepareRuntime } from "../../cc/index.js";
import { targetsFor } from "../../cc/machine.js";
import { readConfig } from "../../config/config.js";
import { openModel } from "../../models/model.js";
import { auditWeights } from "../../read/weights-audit.js";
import { terminalProgress } from "../../support/progress.js";
import { replaceFile } from "../../support/replace-file.js";
import { type Json, jsonOption } from "../options.js";
import { print } from "../output.js";

/** Adds `gsic calibrate`. */
export function addCalibrate(gsic: Command): void {
  gsic
    .command("calibrate <model.toml>")
    .description("collect statistics of every linear's input")
    .option("--out <file>", "where to write them", "stats.safetensors")
    .addOption(jsonOption())
    .addHelpText("after", "\nExample: gsic calibrate examples/tiny-gpt2/model.toml --out stats.safetensors")
    .action(calibrate);
}

/** `gsic calibrate`. */
async function calibrate(input: string, options: Json & { out: string }): Promise<void> {
  const { inputsOf } = await import("../../build.js");
  const { collectStats } = await import("../../calibrate/collect.js");
  const progress = terminalProgress();
  const config = readConfig(input);
  await prepareRuntime(["tool"], progress);
  const out = resolve(options.out);
  refuseOverwrite(out, inputsOf(config));
  const model = await openModel(config, progress.stage("Reading the model"));
  try {
    auditWeights(model.weights, progress.stage("Checking the weights"));
    const { stats } = await collectStats(model, config, await targetsFor(config.target.names), progress);
    await replaceFile(out, (beside) => copyFile(stats.file, beside), {
      code: "output-unwritable",
      hint: "choose a place that can be written with --out",
    });
    progress.finish();
    const { tokens, origin } = stats;
    print(
      options.json ? JSON.stringify({ out, tokens, origin, model: stats.model }) : `${out}: ${tokens} tokens`,
    );
  } finally {
    model.weights.close();
  }
}
