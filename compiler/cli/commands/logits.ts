import type { Command } from "commander";
import { ids, loaded, modeOption } from "../options.js";

/** Adds `gsic logits`. */
export function addLogits(gsic: Command): void {
  gsic
    .command("logits <build>")
    .description('write the logits of token ids: tensor "logits" [tokens, vocabulary] f32')
    .requiredOption("--ids <ids>", "token ids, separated by commas", ids)
    .requiredOption("--out <file>", "safetensors file to write")
    .addOption(modeOption())
    .addHelpText("after", "\nExample: gsic logits build/tiny-gpt2 --ids 1,2,3 --out logits.safetensors")
    .action(loaded(async () => (await import("../actions/logits.js")).logits));
}
