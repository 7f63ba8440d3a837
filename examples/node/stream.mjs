// Streams a story: node examples/node/stream.mjs build/tiny-gpt2/tiny-gpt2.gsi ["Once upon a time"]
import { load } from "gsic";

const [bundle, prompt = "Once upon a time"] = process.argv.slice(2);
const model = await load(bundle);
try {
  process.stdout.write(prompt);
  for await (const { text } of model.generate(prompt, { tokens: 60, temperature: 0 })) {
    process.stdout.write(text);
  }
  process.stdout.write("\n");
} finally {
  model.dispose();
}
