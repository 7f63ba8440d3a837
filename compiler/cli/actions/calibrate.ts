import { copyFile } from "node:fs/promises";
import { resolve } from "node:path";
import { inputsOf } from "../../build.js";
import { refuseOverwrite } from "../../build-folder/publish.js";
import { collectStats } from "../../calibrate/collect.js";
import { prepareRuntime } from "../../cc/index.js";
import { targetsFor } from "../../cc/machine.js";
import { readConfig } from "../../config/config.js";
import { openModel } from "../../models/model.js";
import { auditWeights } from "../../read/weights-audit.js";
import { terminalProgress } from "../../support/progress.js";
import { replaceFile } from "../../support/replace-file.js";
import type { Json } from "../options.js";
import { print } from "../output.js";

/** `gsic calibrate`. */
export async function calibrate(input: string, options: Json & { out: string }): Promise<void> {
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
