// A conversation through the model's own chat template: node examples/node/chat.mjs build/smollm2 "What is a fox?"
import { basename, join } from "node:path";
import { load } from "gsic";
import { openChatTemplate } from "gsic/chat";

const [build, ...questions] = process.argv.slice(2);
const template = openChatTemplate(build);
const model = await load(join(build, `${basename(build)}.gsi`));
const messages = [];
try {
  for (const content of questions) {
    messages.push({ role: "user", content });
    let answer = "";
    for await (const { id, text } of model.generate(await template.encode(model, messages), { tokens: 40 })) {
      if (template.endIds.has(id)) break;
      process.stdout.write(text);
      answer += text;
    }
    process.stdout.write("\n");
    messages.push({ role: "assistant", content: answer });
  }
} finally {
  model.dispose();
}
