import type { Command } from "commander";
import { modeOf } from "../../build-folder/open.js";
import { prepareRuntime } from "../../cc/index.js";
import { openChatTemplate } from "../../chat.js";
import { load } from "../../load.js";
import { terminalProgress } from "../../support/progress.js";
import { Conversation } from "../conversation.js";
import { buildOf } from "../model-build.js";
import { count, type Sampling, samplingOptions } from "../options.js";
import { converse } from "../terminal-chat.js";

/** Adds `gsic chat`. */
export function addChat(gsic: Command): void {
  const command = gsic
    .command("chat <model>")
    .description("talk with a build, or with a model: a .gguf or .onnx file, a folder, or hf:owner/name")
    .option("--system <text>", "what the model is told before the conversation")
    .option("--tokens <n>", "most tokens of an answer (default: the context's room)", count);
  samplingOptions(command)
    .addHelpText("after", "\nExample: gsic chat hf:HuggingFaceTB/SmolLM2-135M-Instruct")
    .action(chat);
}

/** `gsic chat`: a line is a message; Ctrl-C stops an answer, Ctrl-D ends the conversation. */
async function chat(
  path: string,
  options: Sampling & {
    system?: string;
    tokens?: number;
  },
): Promise<void> {
  const progress = terminalProgress();
  const built = await buildOf(path, progress);
  const mode = modeOf(built, options.mode);
  const template = openChatTemplate(built.folder);
  await prepareRuntime(["addon"], progress);
  progress.finish();
  const model = await load(built.bundle, { threads: options.threads });
  try {
    const session = await model.session({ mode });
    const conversation = new Conversation(model, session, template, options);
    await converse(conversation, { name: model.info.name, mode });
  } finally {
    model.dispose();
  }
}
