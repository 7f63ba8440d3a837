import type { Command } from "commander";
import { exportTypes } from "../../export/types.js";
import { choice, jsonOption, loaded } from "../options.js";

/** Adds `gsic export`. */
export function addExport(gsic: Command): void {
  gsic
    .command("export <build>")
    .description("write a build's model as a GGUF file for llama.cpp")
    .requiredOption("--gguf <file>", "where to write it")
    .addOption(choice("--type <type>", "the type of every matrix (default: as planned)", exportTypes))
    .addOption(jsonOption())
    .addHelpText("after", "\nExample: gsic export build/smollm2 --gguf smollm2.gguf --type q4_k")
    .action(loaded(async () => (await import("../actions/export.js")).exportBuild));
}
