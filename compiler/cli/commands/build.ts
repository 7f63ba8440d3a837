import type { Command } from "commander";
import { reportText } from "../../inspect/text.js";
import { writeForms } from "../../ir/forms.js";
import type { Mode } from "../../ir/program.js";
import { terminalProgress } from "../../support/progress.js";
import { type Json, jsonOption, list, modeOption } from "../options.js";
import { print } from "../output.js";

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
    .action(build);
}

/** `gsic build`. */
async function build(
  input: string,
  options: Json & { out?: string; target?: string[]; mode?: Mode; dump?: string },
): Promise<void> {
  const { build: buildModel } = await import("../../build.js");
  const { out, report } = await buildModel({
    input,
    out: options.out,
    targets: options.target,
    mode: options.mode,
    dump: options.dump,
    progress: terminalProgress(),
  });
  print(options.json ? JSON.stringify({ out, ...report }, writeForms) : reportText(report, out));
}
