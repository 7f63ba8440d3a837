// One model in each of some worker threads: node examples/node/workers.mjs build/tiny-gpt2/tiny-gpt2.gsi
// Workers map the same file, so its weights are in memory once.
import { once } from "node:events";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { load } from "gsic";

if (isMainThread) {
  const [bundle] = process.argv.slice(2);
  const prompts = ["Once upon a time", "The little fox"];
  const answers = prompts.map(async (prompt) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: { bundle, prompt } });
    const [text] = await once(worker, "message");
    return prompt + text;
  });
  for (const story of await Promise.all(answers)) console.log(story);
} else {
  const { bundle, prompt } = workerData;
  const model = await load(bundle, { threads: 1 });
  let text = "";
  for await (const token of model.generate(prompt, { tokens: 20 })) text += token.text;
  model.dispose();
  parentPort.postMessage(text);
}
