import type { Command } from "commander";
import { jsonOption, loaded } from "../options.js";

/** Adds `gsic calibrate`. */
export function addCalibrate(gsic: Command): void {
  gsic
    .command("calibrate <model.toml>")
    .description("collect statistics of every linear's input")
    .option("--out <file>", "where to write them", "stats.safetensors")
    .addOption(jsonOption())
    .addHelpText("after", "\nExample: gsic calibrate examples/tiny-gpt2/model.toml --out stats.safetensors")
    .action(loaded(async () => (await import("../actions/calibrate.js")).calibrate));
}
