import type { Command } from "commander";
import { count, jsonOption, loaded, modeOption, positives, splits, threads } from "../options.js";

/** Adds `gsic bench`. */
export function addBench(gsic: Command): void {
  gsic
    .command("bench <build>")
    .description("measure speed, as a ratio to the dense path and to the machine's read ceiling")
    .option("--tokens <n>", "tokens written behind each prompt", count, 64)
    .option("--repeat <n>", "prompts, each measured in every mode", count, 5)
    .option("--prompt <n>", "tokens of a prompt", count, 16)
    .option("--threads <n>", "threads (default: the cores this process may use)", threads)
    .option("--scaling", "also measure with 1, 2, 4, ... threads (CPUs)")
    .option(
      "--users <n,...>",
      "measure so many requests at once, which share passes; such as 1,4,8",
      positives,
    )
    .option(
      "--beside <n>",
      "measure beside so many busy processes, which it starts, with each number of threads (CPUs)",
      count,
    )
    .option("--launches", "measure each launch of a token: in its step (CPUs), or alone (GPUs)")
    .addOption(modeOption().conflicts("tune"))
    .option("--tune [file]", "measure how projections are best divided, for the next build (GPUs)")
    .option("--candidates <splits>", "what --tune tries (default: 1,2,4,8,16)", splits)
    .addOption(jsonOption())
    .addHelpText("after", "\nExample: gsic bench build/tiny-gpt2 --repeat 50 --tokens 128")
    .action(loaded(async () => (await import("../actions/bench.js")).bench));
}
