import type { Command } from "commander";
import { jsonOption, loaded, modeOption } from "../options.js";

/** Adds `gsic eval`. */
export function addEval(gsic: Command): void {
  gsic
    .command("eval <build>")
    .description("measure perplexity, KL and agreement, on held-out and on calibration text")
    .option("--text <file>", "measure on this text instead of the configured held-out text")
    .addOption(modeOption())
    .addOption(jsonOption())
    .addHelpText("after", "\nExample: gsic eval build/tiny-gpt2")
    .action(loaded(async () => (await import("../actions/eval.js")).evaluate));
}
