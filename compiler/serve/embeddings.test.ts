/** Embeddings against the float64 oracle's values, by OpenAI's client. */

import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readConfig } from "../config/config.js";
import { load, type Model } from "../load.js";
import { openModel } from "../models/model.js";
import { evaluateGraph } from "../oracle/reference.js";
import { packageRoot } from "../support/paths.js";
import { bundle, makeBundle, removeBundle } from "../testing/load.js";
import { clientOf, listen, post } from "./server-testing.js";

const name = "tiny-gpt2";
let model: Model;
let base: string;

beforeAll(async () => {
  await makeBundle();
  model = await load(bundle, { threads: 1 });
  base = await listen(model, { closeWith: afterAll });
});

afterAll(() => {
  model?.dispose();
  removeBundle();
});

/** The oracle's states behind the last norm, [ids][width]. */
async function expectedStates(ids: Int32Array): Promise<number[][]> {
  const source = await openModel(readConfig(join(packageRoot, "examples/tiny-gpt2/model.toml")), () => {});
  const { data, width } = evaluateGraph(source.graph, source.weights, [...ids]).get("final_norm")!;
  source.weights.close();
  return Array.from(ids, (_, i) => Array.from(data.subarray(i * width, (i + 1) * width)));
}

const unit = (vector: readonly number[]) => vector.map((one) => one / Math.hypot(...vector));

test("are the mean of the last hidden states, or the last token's, of length 1", async () => {
  const text =
    "Once upon a time there was a fox who lived in a small house by the river and had many friends.";
  const ids = await model.encode(text);
  expect(ids.length).toBeGreaterThan(16);
  const states = await expectedStates(ids);
  const mean = states[0]!.map((_, i) => states.reduce((sum, row) => sum + row[i]!, 0) / states.length);
  const client = clientOf(base);
  const answer = await client.embeddings.create({ model: name, input: [text, "A bear"] });
  expect(answer.data.map(({ index }) => index)).toEqual([0, 1]);
  expect(answer.usage.prompt_tokens).toBe(ids.length + (await model.encode("A bear")).length);
  const { data } = (await post(base, "/v1/embeddings", { model: name, input: [...ids], pooling: "last" }))
    .body as {
    data: { embedding: number[] }[];
  };
  for (const [found, expected] of [
    [answer.data[0]!.embedding, unit(mean)],
    [data[0]!.embedding, unit(states.at(-1)!)],
  ] as const) {
    expect(found).toHaveLength(model.info.hidden);
    for (const [i, one] of found.entries()) expect(one).toBeCloseTo(expected[i]!, 4);
  }
  // base64 is what the client asks for by itself; it reads both.
  const floats = await client.embeddings.create({ model: name, input: text, encoding_format: "float" });
  expect(floats.data[0]!.embedding).toEqual(answer.data[0]!.embedding);
});

test("what cannot be is refused", async () => {
  for (const [body, param] of [
    [{ input: "" }, "input"],
    [{ input: "a", dimensions: 3 }, "dimensions"],
    [{ input: "a ".repeat(300) }, "input"],
    [{ input: [3000] }, "input"],
  ] as const)
    expect(await post(base, "/v1/embeddings", { model: name, ...body })).toMatchObject({
      status: 400,
      body: { error: { param } },
    });
  const session = await model.session({ mode: "bounded" });
  await expect(session.hidden(Int32Array.of(1))).rejects.toMatchObject({ code: "GSIC_INVALID_ARGUMENT" });
  session.dispose();
});
