// Ends a generation by an AbortSignal: node examples/node/abort.mjs build/tiny-gpt2/tiny-gpt2.gsi [tokens]
import { load } from "gsic";

const [bundle, most = "5"] = process.argv.slice(2);
const model = await load(bundle);
const session = await model.session();
const control = new AbortController();
// As well: AbortSignal.timeout(1000), or the signal of an HTTP request whose client may go.
let seen = 0;
try {
  const prompt = await model.encode("Once upon a time");
  for await (const { text } of session.generate(prompt, { signal: control.signal })) {
    process.stdout.write(text);
    if (++seen === Number(most)) control.abort(new Error("that is enough"));
  }
} catch (error) {
  // The loop throws the signal's reason; the session holds what the loop has seen, and can be gone on with.
  console.log(`\n${error.message}: ${session.length} tokens in the session`);
} finally {
  model.dispose();
}
