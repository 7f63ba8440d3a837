// Writes several stories at once, which share each pass over the weights:
// node examples/node/together.mjs build/tiny-gpt2/tiny-gpt2.gsi ["Once upon a time" ...]
import { load } from "gsic";

const [bundle, ...given] = process.argv.slice(2);
const prompts = given.length > 0 ? given : ["Once upon a time", "The little fox", "One day"];
const model = await load(bundle);
try {
  const batch = await model.batch();
  const stories = prompts.map(async (prompt) => {
    let story = prompt;
    for await (const { text } of batch.generate(await model.encode(prompt), { tokens: 20 })) story += text;
    return story;
  });
  for (const story of await Promise.all(stories)) console.log(story);
} finally {
  model.dispose();
}
