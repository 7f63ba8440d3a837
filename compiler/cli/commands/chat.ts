import type { Command } from "commander";
import { count, loaded, samplingOptions } from "../options.js";

/** Adds `gsic chat`. */
export function addChat(gsic: Command): void {
  const command = gsic
    .command("chat <model>")
    .description("talk with a build, or with a model: a .gguf or .onnx file, a folder, or hf:owner/name")
    .option("--system <text>", "what the model is told before the conversation")
    .option("--tokens <n>", "most tokens of an answer (default: the context's room)", count);
  samplingOptions(command)
    .addHelpText("after", "\nExample: gsic chat hf:HuggingFaceTB/SmolLM2-135M-Instruct")
    .action(loaded(async () => (await import("../actions/chat.js")).chat));
}
