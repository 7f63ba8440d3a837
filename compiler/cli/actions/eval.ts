import { modeOf, openBuild } from "../../build-folder/open.js";
import { prepareRuntime } from "../../cc/index.js";
import { evaluate as evaluateBuild } from "../../evaluate/command.js";
import { evaluationText } from "../../inspect/text.js";
import type { Mode } from "../../ir/program.js";
import { openModel } from "../../models/model.js";
import { terminalProgress } from "../../support/progress.js";
import type { Json } from "../options.js";
import { print } from "../output.js";
import { record } from "../record.js";

/** `gsic eval`. */
export async function evaluate(path: string, options: Json & { text?: string; mode?: Mode }): Promise<void> {
  const progress = terminalProgress();
  const built = openBuild(path);
  await prepareRuntime(["tool"], progress);
  const mode = modeOf(built, options.mode);
  const config = built.config;
  const model = await openModel(config, () => {});
  try {
    const { bundle, report } = built;
    const evaluation = await evaluateBuild({
      bundle,
      report,
      config,
      model,
      mode,
      text: options.text,
      progress,
    });
    progress.finish();
    // What was measured on other texts, or of another mode, is no figure of the build.
    if (options.text === undefined && mode === report.mode) await record(built, { evaluation });
    print(options.json ? JSON.stringify(evaluation) : evaluationText(evaluation));
  } finally {
    model.weights.close();
  }
}
