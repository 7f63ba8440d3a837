import { modeOf } from "../../build-folder/open.js";
import { prepareRuntime } from "../../cc/index.js";
import { openChatTemplate } from "../../chat.js";
import { load } from "../../load.js";
import { terminalProgress } from "../../support/progress.js";
import { Conversation } from "../conversation.js";
import { buildOf } from "../model-build.js";
import type { Sampling } from "../options.js";
import { converse } from "../terminal-chat.js";

/** `gsic chat`: a line is a message; Ctrl-C stops an answer, Ctrl-D ends the conversation. */
export async function chat(
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
