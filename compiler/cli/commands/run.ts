import { type Command, Option } from "commander";
import { count, ids, jsonOption, loaded, samplingOptions } from "../options.js";

/** Adds `gsic run`. */
export function addRun(gsic: Command): void {
  const command = gsic
    .command("run <model> [text]")
    .description(
      "generate text with a build, or with a model: a .gguf or .onnx file, a folder, or hf:owner/name",
    )
    .option("--prompt <text>", "the text to go on from, as the argument [text]; -: from standard input")
    .addOption(new Option("--ids <ids>", "the prompt as token ids").argParser(ids).conflicts("prompt"))
    .option("--tokens <n>", "most tokens to generate", count, 128);
  samplingOptions(command)
    .addOption(jsonOption())
    .addHelpText("after", '\nExample: gsic run build/tiny-gpt2 "Once upon a time" --tokens 64')
    .action(loaded(async () => (await import("../actions/run.js")).run));
}
