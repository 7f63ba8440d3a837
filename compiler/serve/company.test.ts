/** The promise of a server: what a request gets under load is what it gets alone. */

import OpenAI from "openai";
import { afterAll, beforeAll, expect, test } from "vitest";
import { load, type Model } from "../load.js";
import { buildTiny, type TinyBuild } from "../testing/tiny.js";
import { ModelServer } from "./server.js";

const name = "tiny-gpt2";
/** Four layers, six heads of 32 floats for keys and for values, 256 positions. */
const contextBytes = 4 * 6 * 32 * 4 * 2 * 256;
const starts = ["Once upon a time", "Once upon a day", "The little fox saw", "Tom and Lily", "One"];
let built: TinyBuild;
let model: Model;
let server: ModelServer;
let client: OpenAI;

beforeAll(async () => {
  built = await buildTiny();
  model = await load(built.bundle, { threads: 2 });
  // A cache of two contexts, so that texts give way to each other.
  const batch = await model.batch({ cacheBytes: 2 * contextBytes });
  server = new ModelServer(
    { model, batch, mode: "exact", chat: null, fingerprint: "gsic-test", created: 1 },
    {
      concurrency: 40,
      queue: 1000,
      maxTokens: 256,
      maxTotal: 1 << 16,
      time: 600,
      maxBody: 1 << 16,
      stall: 30,
    },
  );
  const url = await server.app.listen({ host: "127.0.0.1", port: 0 });
  client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
});

afterAll(async () => {
  await server?.stop(0, new AbortController().signal);
  model?.dispose();
  built?.remove();
});

/** Request number `i`: every kind comes again and again, none twice. */
function request(i: number) {
  const prompt = `${starts[i % starts.length]} ${"and the big red ball ".repeat(i % 7)}`.trim();
  const sampled = i % 3 !== 0;
  return {
    model: name,
    prompt,
    max_tokens: 1 + ((i * 7) % 48),
    temperature: sampled ? 0.5 + (i % 4) / 4 : 0,
    ...(sampled ? { seed: i, top_p: i % 2 === 0 ? 0.9 : 1 } : {}),
    ...(i % 11 === 0 ? { n: 3 } : {}),
    ...(i % 5 === 0 ? { stop: ["the"] } : {}),
  };
}

/** Its texts, whole or streamed. */
async function textsOf(i: number): Promise<string[]> {
  if (i % 2 === 0) return (await client.completions.create(request(i))).choices.map(({ text }) => text);
  const texts: string[] = [];
  for await (const { choices } of await client.completions.create({ ...request(i), stream: true }))
    for (const { index, text } of choices) texts[index] = (texts[index] ?? "") + text;
  return texts;
}

test("500 requests under load get what each gets alone", async () => {
  const all = Array.from({ length: 500 }, (_, i) => i);
  const loaded = await Promise.all(all.map(textsOf));
  for (const i of all) expect(await textsOf(i), JSON.stringify(request(i))).toEqual(loaded[i]);
  const metrics = await (await fetch(`${client.baseURL.replace("/v1", "")}/metrics`)).text();
  expect(Number(/^gsic_batch_shared_tokens_total (\d+)$/m.exec(metrics)![1])).toBeGreaterThan(0);
  expect(Number(/^gsic_batch_columns_total (\d+)$/m.exec(metrics)![1])).toBeGreaterThan(
    2 * Number(/^gsic_batch_passes_total (\d+)$/m.exec(metrics)![1]),
  );
});
