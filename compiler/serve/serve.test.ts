/** The server by OpenAI's own client, over TCP, on a finished build. */

import { connect } from "node:net";
import { join } from "node:path";
import OpenAI, { APIError, RateLimitError } from "openai";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { openBuild } from "../build-folder/open.js";
import { chatTemplateOf } from "../chat.js";
import { load, type Model } from "../load.js";
import { readTokenizer, serializeTokenizer } from "../read/tokenizer.js";
import { packageRoot } from "../support/paths.js";
import { replaceSection } from "../testing/replace-section.js";
import { buildTiny, type TinyBuild } from "../testing/tiny.js";
import { ModelServer, type ServeLimits } from "./server.js";

const limits: ServeLimits = {
  concurrency: 2,
  queue: 2,
  maxTokens: 256,
  maxTotal: 1 << 16,
  time: 600,
  maxBody: 1 << 16,
  stall: 30,
};
const name = "tiny-gpt2";
const prompt = "Once upon a time";
let built: TinyBuild;
let model: Model;
let client: OpenAI;
let base: string;

beforeAll(async () => {
  built = await buildTiny({ chat: true });
  // One thread: other processes may have the other cores, and threads wait for each other.
  model = await load(built.bundle, { threads: 1 });
  base = await listen(limits, { closeWith: afterAll });
  client = clientOf(base);
});

afterAll(() => {
  model?.dispose();
  built?.remove();
});

/** Starts a server with limits; returns its address. */
async function listen(
  withLimits: ServeLimits,
  {
    chat = true,
    fingerprint = "gsic-test",
    closeWith = onTestFinished as (close: () => Promise<void>) => void,
    serving = model,
  } = {},
): Promise<string> {
  const template = chat ? chatTemplateOf(openBuild(built.folder)) : null;
  const server = new ModelServer(
    { model: serving, batch: await serving.batch(), mode: "exact", chat: template, fingerprint, created: 1 },
    withLimits,
  );
  closeWith(async () => {
    await server.stop(0, new AbortController().signal);
    await template?.close();
  });
  return server.app.listen({ host: "127.0.0.1", port: 0 });
}

function clientOf(url: string): OpenAI {
  return new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
}

/** What the runtime generates by itself. */
async function expected(text: string, options: object): Promise<string> {
  let all = "";
  for await (const token of model.generate(text, options)) all += token.text;
  return all;
}

/** The value of a metric, all its labels added up. */
async function metric(url: string, wanted: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const lines = text.split("\n").filter((line) => line.startsWith(wanted));
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
}

/** Waits, a minute at most. */
async function until(condition: () => Promise<boolean>): Promise<void> {
  for (let i = 0; i < 1200; i++) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  expect(await condition()).toBe(true);
}

/** Sends a body as it is; returns the status and the error. */
async function refused(url: string, path: string, body: unknown, headers = {}) {
  const response = await fetch(`${url}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
  const { error } = (await response.json()) as { error: Record<string, unknown> };
  return { status: response.status, ...error };
}

describe("completions", () => {
  test("are what the runtime generates: greedy, sampled, from ids, of several prompts", async () => {
    const greedy = await client.completions.create({ model: name, prompt, temperature: 0, max_tokens: 30 });
    const text = await expected(prompt, { tokens: 30 });
    expect(greedy).toMatchObject({ object: "text_completion", model: name });
    expect(greedy.choices).toEqual([{ index: 0, text, logprobs: null, finish_reason: "length" }]);
    expect(greedy.usage).toEqual({ prompt_tokens: 4, completion_tokens: 30, total_tokens: 34 });

    const sampling = { temperature: 0.9, topP: 0.8, seed: 7, tokens: 16 };
    const options = { model: name, temperature: 0.9, top_p: 0.8, seed: 7 };
    const sampled = await client.completions.create({ ...options, prompt });
    expect(sampled.choices[0]!.text).toBe(await expected(prompt, sampling));
    const ids = [...(await model.encode(prompt))];
    const twice = await client.completions.create({ ...options, prompt: [ids, ids], n: 2 });
    expect(twice.choices.map(({ index }) => index)).toEqual([0, 1, 2, 3]);
    const second = await expected(prompt, { ...sampling, seed: 8 });
    const texts = [sampled.choices[0]!.text, second];
    expect(twice.choices.map((choice) => choice.text)).toEqual([...texts, ...texts]);
    expect(twice.usage!.completion_tokens).toBe(64);

    // Without a seed no two texts are the same; the likeliest tokens alone are what top_p = 0 means.
    const random = () => client.completions.create({ model: name, prompt, temperature: 2, max_tokens: 40 });
    expect((await random()).choices[0]!.text).not.toBe((await random()).choices[0]!.text);
    const likeliest = await client.completions.create({ model: name, prompt, top_p: 0, max_tokens: 30 });
    expect(likeliest.choices[0]!.text).toBe(text);
  });

  test("end before a stop sequence, at the end of the text, and at the context's end", async () => {
    const whole = await expected(prompt, { tokens: 60 });
    const stop = whole.slice(40, 45);
    const at = whole.indexOf(stop);
    const request = { model: name, prompt, temperature: 0, max_tokens: 60 } as const;
    const stopped = await client.completions.create({ ...request, stop: ["§§", stop] });
    expect(stopped.choices[0]).toMatchObject({ text: whole.slice(0, at), finish_reason: "stop" });
    expect(stopped.usage!.completion_tokens).toBeLessThan(60);
    const long = await client.completions.create({ ...request, temperature: 2, seed: 3, max_tokens: 5000 });
    const { completion_tokens: count } = long.usage!;
    expect(long.choices[0]!.finish_reason).toBe(count === 252 ? "length" : "stop");
    const none = await client.completions.create({ ...request, max_tokens: 0 });
    expect(none.choices[0]).toMatchObject({ text: "", finish_reason: "length" });
  });

  test("stream: the same text in events, with the usage at the end", async () => {
    const whole = await expected(prompt, { tokens: 60 });
    const stop = whole.slice(40, 45);
    const stream = await client.completions.create({
      model: name,
      prompt,
      temperature: 0,
      max_tokens: 60,
      stop,
      stream: true,
      stream_options: { include_usage: true },
    });
    const events = [];
    for await (const event of stream) events.push(event);
    const choices = events.flatMap((event) => event.choices);
    expect(choices.map(({ text }) => text).join("")).toBe(whole.slice(0, whole.indexOf(stop)));
    expect(choices.map(({ finish_reason: reason }) => reason).filter(Boolean)).toEqual(["stop"]);
    expect(events.length).toBeGreaterThan(5);
    expect(events.at(-1)).toMatchObject({ choices: [], usage: { prompt_tokens: 4 } });
    expect(new Set(events.map(({ id }) => id)).size).toBe(1);
  });
});

describe("chat", () => {
  const messages = [
    { role: "developer" as const, content: "Tell a story." },
    { role: "user" as const, content: [{ type: "text" as const, text: "Please" }] },
  ];

  test("goes through the model's template, whole and streamed", async () => {
    const text = await expected("Tell a story. Please Once", { tokens: 20 });
    const request = { model: name, messages, temperature: 0, max_completion_tokens: 20 };
    const answer = await client.chat.completions.create(request);
    const message = { role: "assistant", content: text, refusal: null };
    expect(answer.choices).toEqual([{ index: 0, message, logprobs: null, finish_reason: "length" }]);
    expect(answer.object).toBe("chat.completion");

    const stream = client.chat.completions.stream(request);
    const deltas: string[] = [];
    stream.on("content", (delta) => deltas.push(delta));
    const final = await stream.finalChatCompletion();
    expect(deltas.length).toBeGreaterThan(5);
    expect(deltas.join("")).toBe(text);
    expect(final.choices[0]).toMatchObject({ message: { role: "assistant", content: text } });
    const open = await client.chat.completions.create({ model: name, messages, temperature: 0 });
    expect(open.usage!.completion_tokens).toBeGreaterThan(20);
  });

  test("is refused by the template's reason, and where there is no template", async () => {
    const four = Array.from({ length: 4 }, () => ({ role: "user" as const, content: "a" }));
    const body = { model: name, messages: four };
    expect(await refused(base, "/v1/chat/completions", body)).toMatchObject({
      status: 400,
      code: "chat-refused",
      param: "messages",
      message: expect.stringContaining("three messages at most"),
    });
    const plain = await listen(limits, { chat: false });
    expect(await refused(plain, "/v1/chat/completions", body)).toMatchObject({
      status: 400,
      code: "chat_template_missing",
    });
  });
});

describe("texts", () => {
  const word = "<|endoftext|>";

  test("stay text where they look like special tokens, unless it is asked for", async () => {
    const tokens = async (body: object) => {
      const answer = await client.completions.create({ model: name, max_tokens: 1, ...body } as never);
      return (answer as unknown as OpenAI.Completion).usage!.prompt_tokens;
    };
    const asText = (await model.encode(word, { special: false })).length;
    expect(asText).toBeGreaterThan(1);
    expect(await tokens({ prompt: word })).toBe(asText);
    expect(await tokens({ prompt: word, parse_special: true })).toBe(1);

    const content = `a${word}${word} <|`;
    const expectedIds = await model.encode(`${content} Once`, { special: false });
    const answer = await client.chat.completions.create({
      model: name,
      messages: [{ role: "user", content }],
      temperature: 0,
      max_tokens: 10,
    });
    expect(answer.usage!.prompt_tokens).toBe(expectedIds.length);
    let text = "";
    for await (const token of model.generate(expectedIds, { tokens: 10 })) text += token.text;
    expect(answer.choices[0]!.message.content).toBe(text);
  });

  test("on which a pattern of the tokenizer gives up are the client's error, and no trouble to others", async () => {
    const bundle = `${built.bundle}.hostile.gsi`;
    const tokenizer = (await readTokenizer(join(packageRoot, "examples/tiny-gpt2/model")))!;
    const hostile = { kind: "split", pattern: "(a|aa|a?)+$", behavior: "isolated", invert: false } as const;
    const section = serializeTokenizer({ ...tokenizer, steps: [hostile, ...tokenizer.steps] });
    await replaceSection(built.bundle, bundle, "tokenizer", section);
    const other = await load(bundle, { threads: 1 });
    onTestFinished(() => other.dispose());
    const url = await listen(limits, { serving: other });
    const hard = { model: name, prompt: `${"a".repeat(64)}b`, max_tokens: 1 };
    expect(await refused(url, "/v1/completions", hard)).toMatchObject({
      status: 400,
      code: "text_too_hard",
      param: "prompt",
      message: expect.stringContaining("match limit"),
    });
    expect((await clientOf(url).completions.create({ ...hard, prompt: "b" })).choices).toHaveLength(1);
  });
});

test("models are listed; what is not there is a 404 of OpenAI's form", async () => {
  const { data } = await client.models.list();
  expect(data).toEqual([{ id: name, object: "model", created: 1, owned_by: "gsic" }]);
  expect(await client.models.retrieve(name)).toMatchObject({ id: name });
  await expect(client.models.retrieve("gpt-9")).rejects.toMatchObject({
    status: 404,
    code: "model_not_found",
  });
  await expect(client.files.list()).rejects.toMatchObject({ status: 404, code: "unknown_url" });
});

test("wrong requests are refused, each with its field and reason", async () => {
  const good = { model: name, prompt, max_tokens: 1 };
  const cases: [object | string, number, string, RegExp][] = [
    ["{", 400, "FST_ERR_CTP_INVALID_JSON_BODY", /JSON/],
    [{ prompt }, 400, "invalid_value", /model .*required/],
    [{ ...good, model: "gpt-9" }, 404, "model_not_found", /this server has tiny-gpt2/],
    [{ ...good, prompt: "" }, 400, "invalid_value", /prompt is empty/],
    [{ ...good, prompt: [] }, 400, "invalid_value", /prompt/],
    [{ ...good, prompt: [1, 2048] }, 400, "invalid_value", /no token 2048; ids end at 2047/],
    [{ ...good, prompt: "a ".repeat(400) }, 400, "context_length_exceeded", /context is 256/],
    [{ ...good, prompt: "a".repeat(1 << 17) }, 413, "FST_ERR_CTP_BODY_TOO_LARGE", /too large/],
    [{ ...good, temperature: 3 }, 400, "invalid_value", /temperature must be <= 2/],
    [{ ...good, temperature: "1" }, 400, "invalid_value", /temperature must be number/],
    [{ ...good, max_tokens: -1 }, 400, "invalid_value", /max_tokens must be >= 0/],
    [{ ...good, stop: ["a", "b", "c", "d", "e"] }, 400, "invalid_value", /stop/],
    [{ ...good, stop: "" }, 400, "invalid_value", /stop/],
    [{ ...good, n: 129 }, 400, "invalid_value", /n must be <= 128/],
    [{ ...good, prompt: ["a", "b"], n: 65 }, 400, "invalid_value", /more than 128/],
    [{ ...good, temprature: 1 }, 400, "unknown_parameter", /did you mean temperature\?/],
    [{ ...good, logprobs: 21 }, 400, "invalid_value", /logprobs/],
    [{ ...good, suffix: "a" }, 400, "unsupported_parameter", /suffix is not supported/],
    [{ ...good, logit_bias: { 2048: 1 } }, 400, "invalid_value", /no token 2048/],
    [{ ...good, logit_bias: { a: 1 } }, 400, "invalid_value", /logit_bias/],
    [{ ...good, logit_bias: { 1: 101 } }, 400, "invalid_value", /logit_bias.1 must be <= 100/],
    [{ ...good, seed: "99999999999999999999" }, 400, "invalid_value", /64 bits/],
    [{ ...good, ["x".repeat(60_000)]: 1 }, 400, "unknown_parameter", /^.{0,200}\(60000 characters\)"$/],
    [{ ...good, stop: "x".repeat(1001) }, 400, "invalid_value", /stop/],
    [{ ...good, model: "x".repeat(60_000) }, 404, "model_not_found", /^.{0,250}$/],
    [{ ...good, constructor: 3 }, 400, "unknown_parameter", /constructor/],
    [{ ...good, stream_options: {} }, 400, "invalid_value", /needs stream/],
  ];
  for (const [body, status, code, message] of cases)
    expect(await refused(base, "/v1/completions", body), JSON.stringify(body).slice(0, 99)).toMatchObject({
      status,
      code,
      type: "invalid_request_error",
      message: expect.stringMatching(message),
    });
  const form = { "content-type": "text/plain" };
  expect(await refused(base, "/v1/completions", good, form)).toMatchObject({ status: 415 });
  // What asks for nothing is taken, as is what says nothing about the text.
  const neutral = { ...good, echo: false, logit_bias: null, presence_penalty: 0, user: "me" };
  expect((await client.completions.create(neutral)).choices).toHaveLength(1);
  const error = await client.completions.create({ ...good, n: 0 }).catch((one: unknown) => one);
  expect(error).toBeInstanceOf(APIError);
});

describe("limits", () => {
  /** A request that runs for long unless its reader goes. */
  const long = { model: name, prompt: Array(16).fill(prompt) as string[], temperature: 1.5, max_tokens: 240 };

  test("more requests than may wait get 429 with Retry-After; who goes gives the turn back", async () => {
    const url = await listen({ ...limits, concurrency: 1, queue: 1 });
    const narrow = clientOf(url);
    const [one, two] = [new AbortController(), new AbortController()];
    const running = narrow.completions.create(long, { signal: one.signal });
    await until(async () => (await metric(url, "gsic_requests_running")) === 1);
    const waiting = narrow.completions.create(long, { signal: two.signal });
    await until(async () => (await metric(url, "gsic_requests_waiting")) === 1);
    const third = await narrow.completions.create(long).catch((error: unknown) => error);
    expect(third).toBeInstanceOf(RateLimitError);
    const { headers, code, type } = third as RateLimitError;
    expect({ code, type }).toEqual({ code: "queue_full", type: "rate_limit_error" });
    expect(Number(headers!.get("retry-after"))).toBeGreaterThan(0);

    two.abort();
    await expect(waiting).rejects.toThrow(/aborted/);
    await until(async () => (await metric(url, "gsic_requests_waiting")) === 0);
    one.abort();
    await expect(running).rejects.toThrow(/aborted/);
    await until(async () => (await metric(url, "gsic_requests_running")) === 0);
    const after = await narrow.completions.create({ ...long, prompt });
    expect(after.choices).toHaveLength(1);
    await until(
      async () => (await metric(url, 'gsic_requests_total{route="/v1/completions",status="499"}')) === 2,
    );
  });

  test("a stream whose client goes is ended", async () => {
    const stream = await client.completions.create({ ...long, stream: true });
    let seen = 0;
    for await (const _ of stream) if (++seen === 3) break;
    await until(async () => (await metric(base, "gsic_requests_running")) === 0);
  });

  test("a slow reader is waited for, and sent away if it takes nothing", async () => {
    // Every event carries the fingerprint: events this long fill what the system holds between two sockets.
    const url = await listen({ ...limits, stall: 1 }, { fingerprint: "x".repeat(1 << 18) });
    const body = JSON.stringify({ ...long, stream: true });
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    onTestFinished(() => {
      socket.destroy();
    });
    socket.pause();
    const head = "POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    socket.write(`${head}content-length: ${body.length}\r\n\r\n${body}`);
    const wanted = 'gsic_requests_total{route="/v1/completions",status="499"}';
    await until(async () => (await metric(url, wanted)) === 1);
    const tokens = await metric(url, "gsic_generated_tokens_total");
    expect(tokens).toBeGreaterThan(0);
    expect(tokens).toBeLessThan(240);
    expect(await metric(url, "gsic_requests_running")).toBe(0);
  });

  test("a request that takes too long is ended, and says why", async () => {
    const url = await listen({ ...limits, time: 0.01 });
    const many = { ...long, prompt: Array(100).fill(prompt) as string[] };
    expect(await refused(url, "/v1/completions", many)).toMatchObject({ status: 503, code: "timeout" });
    await until(async () => (await metric(url, "gsic_requests_running")) === 0);
  });

  test("choices share what a request may have", async () => {
    const few = clientOf(await listen({ ...limits, maxTotal: 23 }));
    const { usage } = await few.completions.create({ ...long, prompt, n: 4, temperature: 0 });
    expect(usage!.completion_tokens).toBe(20);
  });

  test("no answer is longer than the server allows", async () => {
    const short = clientOf(await listen({ ...limits, maxTokens: 5 }));
    const { usage, choices } = await short.completions.create({ ...long, prompt });
    expect(usage!.completion_tokens).toBe(5);
    expect(choices[0]!.finish_reason).toBe("length");
  });
});

test("health and metrics say how it is", async () => {
  const health = await fetch(`${base}/health`);
  expect([health.status, await health.json()]).toEqual([200, { status: "ok" }]);
  const response = await fetch(`${base}/metrics`);
  expect(response.headers.get("content-type")).toContain("text/plain; version=0.0.4");
  const text = await response.text();
  for (const one of [
    "gsic_prompt_tokens_total",
    "gsic_first_token_seconds_bucket",
    "process_resident_memory",
  ])
    expect(text).toContain(one);
});
