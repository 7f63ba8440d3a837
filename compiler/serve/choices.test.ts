/** How choices are made and what is told of them: against logits of the runtime, by OpenAI's own client. */

import type OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openBuild } from "../build-folder/open.js";
import { chatTemplateOf } from "../chat.js";
import { load, type Model } from "../load.js";
import { buildTiny, type TinyBuild } from "../testing/tiny.js";
import { clientOf, listen, post } from "./server-testing.js";

const name = "tiny-gpt2";
const prompt = "Once upon a time";
let built: TinyBuild;
let model: Model;
let client: OpenAI;
let base: string;

beforeAll(async () => {
  built = await buildTiny({ chat: true });
  model = await load(built.bundle, { threads: 1 });
  base = await listen(model, { chat: chatTemplateOf(openBuild(built.folder)), closeWith: afterAll });
  client = clientOf(base);
});

afterAll(() => {
  model?.dispose();
  built?.remove();
});

/** Logits [ids, vocabulary] in rows. */
async function logitsOf(ids: Int32Array): Promise<Float32Array[]> {
  const session = await model.session({ mode: "exact" });
  const all = await session.evaluate(ids, ids.length);
  session.dispose();
  const { vocabulary } = model.info;
  return Array.from(ids, (_, i) => all.subarray(i * vocabulary, (i + 1) * vocabulary));
}

/** log softmax, plainly. */
function logSoftmax(logits: ArrayLike<number>): number[] {
  const values = Array.from(logits);
  const largest = Math.max(...values);
  const total = largest + Math.log(values.reduce((sum, one) => sum + Math.exp(one - largest), 0));
  return values.map((one) => one - total);
}

const largestOf = (values: ArrayLike<number>): number => {
  const list = Array.from(values);
  return list.indexOf(Math.max(...list));
};

/** The `count` likeliest ids. */
const likeliest = (logprobs: readonly number[], count: number): number[] =>
  logprobs
    .map((logprob, id) => ({ logprob, id }))
    .sort((a, b) => b.logprob - a.logprob || a.id - b.id)
    .slice(0, count)
    .map(({ id }) => id);

const spell = (id: number): string => model.decode(Int32Array.of(id));

describe("log-probabilities", () => {
  test("of a completion and its prompt are those of the model's logits, and echo gives the prompt back", async () => {
    const answer = await client.completions.create({
      model: name,
      prompt,
      temperature: 0,
      max_tokens: 8,
      logprobs: 3,
      echo: true,
    });
    const { text, logprobs } = answer.choices[0]!;
    expect(text.startsWith(prompt)).toBe(true);
    const ids = await model.encode(text);
    expect(logprobs!.tokens).toEqual(Array.from(ids, spell));
    expect(logprobs!.tokens!.join("")).toBe(text);
    const rows = await logitsOf(ids);
    expect(logprobs!.token_logprobs![0]).toBeNull();
    expect(logprobs!.top_logprobs![0]).toBeNull();
    let offset = 0;
    for (let i = 0; i < ids.length; i++) {
      expect(logprobs!.text_offset![i]).toBe(offset);
      offset += spell(ids[i]!).length;
      if (i === 0) continue;
      const expected = logSoftmax(rows[i - 1]!);
      expect(logprobs!.token_logprobs![i]).toBeCloseTo(expected[ids[i]!]!, 4);
      const top = logprobs!.top_logprobs![i]!;
      const wanted = new Set([...likeliest(expected, 3), ids[i]!]);
      expect(new Set(Object.keys(top))).toEqual(new Set([...wanted].map(spell)));
      for (const id of wanted) expect(top[spell(id)]).toBeCloseTo(expected[id]!, 4);
    }
    // A text that is only read.
    const read = { model: name, prompt: [...ids], max_tokens: 0, logprobs: 0, echo: true };
    const echoed = await client.completions.create(read);
    expect(echoed.choices[0]).toMatchObject({ text, finish_reason: "length" });
    expect(echoed.choices[0]!.logprobs!.token_logprobs).toEqual(logprobs!.token_logprobs);
    expect(echoed.usage).toMatchObject({ prompt_tokens: ids.length, completion_tokens: 0 });
  });

  test("change no text, come with the tokens of a stream, and end where a stop sequence cuts", async () => {
    const request = { model: name, prompt, temperature: 0, max_tokens: 40 } as const;
    const plain = (await client.completions.create(request)).choices[0]!.text;
    const told = (await client.completions.create({ ...request, logprobs: 2 })).choices[0]!;
    expect(told.text).toBe(plain);
    const parts = { tokens: [] as string[], values: [] as number[], text: "" };
    const stream = await client.completions.create({ ...request, logprobs: 2, stream: true });
    for await (const { choices } of stream) {
      parts.text += choices[0]!.text;
      parts.tokens.push(...(choices[0]!.logprobs?.tokens ?? []));
      parts.values.push(...(choices[0]!.logprobs?.token_logprobs ?? []));
    }
    expect(parts).toEqual({
      text: plain,
      tokens: told.logprobs!.tokens,
      values: told.logprobs!.token_logprobs,
    });
    const stop = plain.slice(30, 34);
    const cut = (await client.completions.create({ ...request, logprobs: 0, stop })).choices[0]!;
    expect(cut.text).toBe(plain.slice(0, plain.indexOf(stop)));
    const joined = cut.logprobs!.tokens!.join("");
    expect(joined.startsWith(cut.text)).toBe(true);
    const last = cut.logprobs!.tokens!.at(-1)!;
    expect(joined.length - last.length).toBeLessThan(cut.text.length);
  });

  test("of a chat have each token's bytes; none are given where none are asked for", async () => {
    const messages = [{ role: "user" as const, content: prompt }];
    const request = {
      model: name,
      messages,
      temperature: 0,
      max_tokens: 12,
      logprobs: true,
      top_logprobs: 4,
    };
    const { message, logprobs } = (await client.chat.completions.create(request)).choices[0]!;
    const ids = await model.encode(`${prompt} Once`);
    const tokens = logprobs!.content!;
    expect(tokens.map(({ token }) => token).join("")).toBe(message.content);
    const rows = await logitsOf(Int32Array.of(...ids, ...(await model.encode(message.content!))));
    for (const [i, one] of tokens.entries()) {
      const expected = logSoftmax(rows[ids.length - 1 + i]!);
      const best = likeliest(expected, 4);
      expect(one.top_logprobs.map(({ token }) => token)).toEqual(best.map(spell));
      expect(one.logprob).toBeCloseTo(expected[best[0]!]!, 4);
      expect(one.bytes).toEqual([...new TextEncoder().encode(one.token)]);
    }
    const stream = client.chat.completions.stream({ ...request, stream: true });
    const streamed = (await stream.finalChatCompletion()).choices[0]!;
    expect(streamed.logprobs!.content).toEqual(tokens);
    const wrong = { model: name, messages, top_logprobs: 2 };
    expect(await post(base, "/v1/chat/completions", wrong)).toMatchObject({
      status: 400,
      body: { error: { param: "top_logprobs", message: expect.stringContaining("logprobs: true") } },
    });
  });

  test("the token that ends a text is told of, without text", async () => {
    const end = model.info.endOfText!;
    const answer = await client.completions.create({
      model: name,
      prompt,
      temperature: 0,
      max_tokens: 5,
      logprobs: 0,
      logit_bias: { [end]: 100 },
    });
    const { text, logprobs, finish_reason: reason } = answer.choices[0]!;
    expect({ text, reason }).toEqual({ text: "", reason: "stop" });
    expect(logprobs!.tokens).toEqual([spell(end)]);
    // Biases change the choice, not what the model thought of it.
    const expected = logSoftmax((await logitsOf(await model.encode(prompt))).at(-1)!);
    expect(logprobs!.token_logprobs![0]).toBeCloseTo(expected[end]!, 4);
    expect(answer.usage!.completion_tokens).toBe(0);
  });
});

describe("penalties and biases", () => {
  /** Greedy, plainly: the logits of all that was written, changed, and the largest. */
  async function expected(
    change: (logits: number[], generated: readonly number[], all: readonly number[]) => void,
  ) {
    const ids = [...(await model.encode(prompt))];
    const begin = ids.length;
    const session = await model.session({ mode: "exact" });
    let logits = await session.evaluate(Int32Array.from(ids), 1);
    while (ids.length < begin + 40) {
      const changed = [...logits];
      change(changed, ids.slice(begin), ids);
      const next = largestOf(changed);
      if (next === model.info.endOfText) break;
      ids.push(next);
      logits = await session.evaluate(Int32Array.of(next), 1);
    }
    session.dispose();
    return model.decode(Int32Array.from(ids.slice(begin)));
  }

  const times = (list: readonly number[], id: number) => list.filter((one) => one === id).length;

  test.each([
    ["presence", { presence_penalty: 1.5 }],
    ["frequency", { frequency_penalty: 0.8, presence_penalty: -0.3 }],
    ["repetition", { repetition_penalty: 1.4 }],
    ["bias", { bias: [-100, 3.5] }],
    ["all", { repetition_penalty: 1.1, frequency_penalty: 0.5, bias: [-2] }],
  ])("%s: the text is that of plain arithmetic", async (_, given: Record<string, unknown>) => {
    const { bias = [], ...fields } = given;
    const { presence_penalty = 0, frequency_penalty = 0, repetition_penalty = 1 } = fields;
    const body = { model: name, prompt, temperature: 0, max_tokens: 40 };
    const textOf = async (more: object) =>
      ((await post(base, "/v1/completions", { ...body, ...more })).body as { choices: { text: string }[] })
        .choices[0]!.text;
    const plain = await textOf({});
    // Biases are for the first tokens of the plain text.
    const first = await model.encode(plain);
    const biases = (bias as number[]).map((value, i) => [first[i]!, value] as const);
    const wanted = await expected((logits, generated, all) => {
      for (const id of new Set(all)) {
        const repetition = Number(repetition_penalty);
        logits[id] = logits[id]! > 0 ? logits[id]! / repetition : logits[id]! * repetition;
        const count = times(generated, id);
        if (count > 0) logits[id] -= Number(presence_penalty) + Number(frequency_penalty) * count;
      }
      for (const [id, value] of biases) logits[id]! += value;
    });
    expect(await textOf({ ...fields, logit_bias: Object.fromEntries(biases) })).toBe(wanted);
    expect(wanted).not.toBe(plain);
  });

  test("min_p leaves only likely tokens; 1 leaves the likeliest", async () => {
    const request = { model: name, prompt, max_tokens: 30, temperature: 1.5, seed: 5 };
    const text = async (body: object) =>
      ((await post(base, "/v1/completions", body)).body as { choices: { text: string }[] }).choices[0]!.text;
    const greedy = await text({ ...request, temperature: 0 });
    expect(await text({ ...request, min_p: 1 })).toBe(greedy);
    expect(await text(request)).not.toBe(greedy);
    const some = { ...request, min_p: 0.2, logprobs: 1 };
    const { choices } = await client.completions.create(some as never);
    for (const [i, logprob] of choices[0]!.logprobs!.token_logprobs!.entries()) {
      // At temperature 1.5 a token keeps the power 1/1.5 of its share of the likeliest one's probability.
      const best = Math.max(...Object.values(choices[0]!.logprobs!.top_logprobs![i]!));
      expect((logprob - best) / 1.5).toBeGreaterThan(Math.log(0.2) - 1e-4);
    }
  });
});

test("best_of gives the likeliest of several texts, and counts all of them", async () => {
  const request = { model: name, prompt, max_tokens: 10, temperature: 1.2, seed: 3, logprobs: 0 };
  const all = (await client.completions.create({ ...request, n: 4 })).choices;
  const mean = ({ logprobs }: (typeof all)[number]) => {
    const values = logprobs!.token_logprobs!;
    return values.reduce((sum, one) => sum + one, 0) / values.length;
  };
  const ranked = [...all].sort((a, b) => mean(b) - mean(a)).map(({ text }) => text);
  const best = await client.completions.create({ ...request, n: 2, best_of: 4 });
  expect(best.choices.map(({ text, index }) => ({ text, index }))).toEqual([
    { text: ranked[0], index: 0 },
    { text: ranked[1], index: 1 },
  ]);
  expect(best.usage!.completion_tokens).toBe(40);
  for (const [wrong, message] of [
    [{ n: 3, best_of: 2 }, /at least n/],
    [{ best_of: 2, stream: true }, /known at the end/],
    [{ best_of: 100, prompt: ["a", "b"] }, /more than 128/],
  ] as const)
    expect(await post(base, "/v1/completions", { ...request, ...wrong })).toMatchObject({
      status: 400,
      body: { error: { message: expect.stringMatching(message) } },
    });
});

test("seeds of 64 bits differ in their last bit; as a number or as a text they are the same", async () => {
  const text = async (seed: string) => {
    const body = `{"model": "${name}", "prompt": "${prompt}", "temperature": 1.5, "max_tokens": 20, "seed": ${seed}}`;
    const headers = { "content-type": "application/json" };
    const answer = await fetch(`${base}/v1/completions`, { method: "POST", headers, body });
    return ((await answer.json()) as { choices: { text: string }[] }).choices[0]!.text;
  };
  const one = await text("9223372036854775806");
  expect(await text("9223372036854775807")).not.toBe(one);
  expect(await text('"9223372036854775806"')).toBe(one);
});

test("texts go to tokens and back", async () => {
  const ids = [...(await model.encode(prompt))];
  const tokenized = await post(base, "/tokenize", { model: name, prompt, return_token_strs: true });
  expect(tokenized.body).toEqual({ count: 4, max_model_len: 256, tokens: ids, token_strs: ids.map(spell) });
  const messages = [{ role: "user", content: "Hi" }];
  const chat = await post(base, "/tokenize", { messages });
  expect(chat.body.tokens).toEqual([...(await model.encode("Hi Once"))]);
  expect((await post(base, "/detokenize", { tokens: ids })).body).toEqual({ prompt });
  for (const [path, body] of [
    ["/tokenize", { prompt, messages }],
    ["/tokenize", {}],
    ["/tokenize", { prompt, model: "gpt-9" }],
    ["/detokenize", { tokens: [2048] }],
    ["/detokenize", { tokens: ids, prompt }],
  ] as const)
    expect([400, 404]).toContain((await post(base, path, body)).status);
});

test("mode lossless writes and tells what mode exact does, and says how many drafts were right", async () => {
  const drafting = await buildTiny({ drafts: true });
  const both = await load(drafting.bundle, { threads: 1 });
  const request = { model: name, prompt, temperature: 0, max_tokens: 60, logprobs: 2 };
  const answers = [];
  for (const mode of ["exact", "lossless"]) {
    const url = await listen(both, { mode });
    answers.push(await clientOf(url).completions.create(request));
    const penalised = { ...request, frequency_penalty: 0.5, temperature: 0.7, seed: 4 };
    answers.push(await clientOf(url).completions.create(penalised));
  }
  const [exact, exactPenalised, lossless, losslessPenalised] = answers;
  expect(lossless!.choices).toEqual(exact!.choices);
  expect(losslessPenalised!.choices).toEqual(exactPenalised!.choices);
  expect(exact!.usage!.completion_tokens_details).toBeUndefined();
  const details = lossless!.usage!.completion_tokens_details!;
  // How many are proposed, and so how many are wrong, depends on how fast the machine is.
  expect(details.accepted_prediction_tokens! + details.rejected_prediction_tokens!).toBeGreaterThan(0);
  both.dispose();
  drafting.remove();
});
