import type { Command } from "commander";
import { jsonOption, list, loaded, modeOption } from "../options.js";

/** Adds `gsic build`. */
export function addBuild(gsic: Command): void {
  gsic
    .command("build <input>")
    .description("build a model.toml, or the edited graph.ts of an earlier build")
    .option("--out <dir>", "output folder (default: build/<name>)")
    .option(
      "--target <names>",
      "targets, separated by commas; cpu: all CPUs of this kind (default: this machine's CPU alone)",
      list,
    )
    .addOption(modeOption())
    .option(
      "--dump <dir>",
      "write what the build is after every stage into this folder: plans, steps, programs",
    )
    .addOption(jsonOption())
    .addHelpText("after", "\nExample: gsic build examples/tiny-gpt2/model.toml")
    .action(loaded(async () => (await import("../actions/build.js")).build));
}
