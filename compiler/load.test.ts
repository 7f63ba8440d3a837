import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { buildRuntime } from "./cc/index.js";
import { load, type Model, type Token } from "./load.js";
import { nativeLogits } from "./testing/fixtures.js";
import { bundle, collect, folder, makeBundle, prompt, removeBundle, sequence } from "./testing/load.js";

let model: Model;
let ids: Int32Array;

beforeAll(async () => {
  await makeBundle();
  model = await load(bundle);
  ids = await model.encode(prompt);
});

afterAll(() => {
  model.dispose();
  removeBundle();
});

/** What the build's executable generates with the same bundle. */
async function byExecutable(...args: string[]): Promise<{ ids: number[]; text: string }> {
  const program = await buildRuntime("executable");
  const { stdout } = await promisify(execFile)(program, [
    "--bundle",
    bundle,
    "--json",
    ...args,
    "--",
    prompt,
  ]);
  const { ids, text } = JSON.parse(stdout) as { ids: number[]; text: string };
  return { ids, text };
}

const bits = (values: Float32Array): Int32Array =>
  new Int32Array(values.buffer, values.byteOffset, values.length);

test("the model says what it is; text goes to ids and back", async () => {
  expect(model.info).toMatchObject({ name: "tiny-gpt2", family: "gpt2", modes: ["bounded", "exact"] });
  expect(model.info).toMatchObject({ vocabulary: 2048, context: 256, hasTokenizer: true, endOfText: 0 });
  expect(model.decode(ids)).toBe(prompt);
  const odd = "\ufeffnaïve 😀 \0 \ud800";
  expect(model.decode(await model.encode(odd))).toBe(odd.replace("\ud800", "\ufffd"));
  expect(await model.encode("")).toEqual(new Int32Array(0));
  expect((await model.encode("<|endoftext|>", { special: false })).length).toBeGreaterThan(1);
});

test("a special token that covers a literal byte stays text; encoding can be stopped", async () => {
  const word = "<|endoftext|>";
  expect(model.specialTexts()).toEqual([word]);
  const text = `é${word}${word}`;
  const asText = await model.encode(word, { special: false });
  const start = Buffer.byteLength("é");
  const count = (some: Int32Array) => some.filter((id) => id === 0).length;
  expect(count(await model.encode(text))).toBe(2);
  for (const at of [start, start + 5, start + word.length - 1]) {
    const some = await model.encode(text, { literal: [at] });
    expect(some.at(-1)).toBe(0);
    expect([...some.slice(-1 - asText.length, -1)]).toEqual([...asText]);
  }
  for (const at of [0, 1]) expect(count(await model.encode(text, { literal: [at] }))).toBe(2);
  expect(count(await model.encode(text, { literal: [start, start + word.length] }))).toBe(0);
  const length = Buffer.byteLength(text);
  for (const literal of [[length], [2, 1]])
    await expect(model.encode(text, { literal })).rejects.toMatchObject({ code: "GSIC_INVALID_ARGUMENT" });

  const gone = new AbortController();
  const encoding = model.encode("word ".repeat(200_000), { signal: gone.signal });
  gone.abort(new Error("not wanted"));
  await expect(encoding).rejects.toThrow("not wanted");
  await expect(model.encode("a", { signal: gone.signal })).rejects.toThrow("not wanted");
});

test("logits equal gsic-tool's, bit for bit, in one call and in pieces; the event loop goes on", async () => {
  const all = sequence(200);
  const expected = bits(await nativeLogits(bundle, [...all], "exact"));
  const session = await model.session({ mode: "exact" });
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  expect(bits(await session.evaluate(all, 200))).toEqual(expected);
  clearInterval(timer);
  expect(ticks).toBeGreaterThan(0);
  session.rewind(5);
  expect(await session.evaluate(all.subarray(5, 130), 0)).toEqual(new Float32Array(0));
  const last = await session.evaluate(all.subarray(130), 66);
  expect(bits(last)).toEqual(expected.subarray(-66 * 2048));
  expect(session.length).toBe(200);
  const shared = new Int32Array(new SharedArrayBuffer(4 * 3));
  shared.set(all.subarray(0, 3));
  session.rewind(0);
  expect(bits(await session.evaluate(shared, 3))).toEqual(expected.subarray(0, 3 * 2048));
  session.dispose();
});

test("streams equal what the native executable generates", async () => {
  expect(await collect(model.generate(prompt, { tokens: 60 }))).toEqual(await byExecutable("--tokens", "60"));
  const options = { tokens: 60, temperature: 0.9, topK: 40, topP: 0.9, seed: 7 };
  const args = ["--tokens=60", "--temperature=0.9", "--top-k=40", "--top-p=0.9", "--seed=7"];
  const sampled = await byExecutable(...args);
  expect(await collect(model.generate(ids, options))).toEqual(sampled);
  expect(await collect(model.generate(ids, { ...options, seed: 7n }))).toEqual(sampled);
  const whole = await collect(model.generate(ids, { temperature: 1.5, seed: 3 }));
  expect(whole.ids.length).toBeLessThanOrEqual(256 - ids.length);
  expect((await collect(model.generate(prompt, { tokens: 0 }))).ids).toEqual([]);
});

test("leaving the loop stops, and the session holds what the loop has seen", async () => {
  const expected = (await collect(model.generate(ids, { tokens: 40 }))).ids;
  const session = await model.session();
  for (const wanted of [1, 3, 20]) {
    session.rewind(0);
    const seen: number[] = [];
    for await (const { id } of session.generate(ids, { tokens: 40 })) if (seen.push(id) === wanted) break;
    expect(seen).toEqual(expected.slice(0, wanted));
    expect(session.length).toBe(ids.length + wanted);
  }
  const next = (await collect(session.generate(Int32Array.of(expected[20]!), { tokens: 5 }))).ids;
  expect(next).toEqual(expected.slice(21, 26));
});

test("an abort ends a run with the signal's reason", async () => {
  const session = await model.session();
  const control = new AbortController();
  const seen: Token[] = [];
  const run = async () => {
    for await (const token of session.generate(ids, { signal: control.signal }))
      if (seen.push(token) === 3) control.abort(new Error("enough"));
  };
  await expect(run()).rejects.toThrow("enough");
  expect(seen).toHaveLength(3);
  expect(session.length).toBe(ids.length + 3);
  await expect(run()).rejects.toThrow("enough");
  expect(session.length).toBe(ids.length + 3);

  session.rewind(0);
  const stream = session.generate(sequence(250), { signal: AbortSignal.timeout(1) });
  await expect(collect(stream)).rejects.toThrow(expect.objectContaining({ name: "TimeoutError" }));
  expect([0, 250]).toContain(session.length);
});

test("two runs at once on one session are refused; two sessions are not", async () => {
  const session = await model.session();
  const first = session.evaluate(sequence(200));
  await expect(session.evaluate(ids)).rejects.toThrow(expect.objectContaining({ code: "GSIC_BUSY" }));
  const busy = expect.objectContaining({
    code: "GSIC_BUSY",
    message: expect.stringContaining("wait for it"),
  });
  await expect(collect(session.generate(ids))).rejects.toThrow(busy);
  expect(() => session.length).toThrow(busy);
  expect(() => session.rewind(0)).toThrow(busy);
  expect((await first).length).toBe(2048);
  for await (const _ of session.generate(ids, { tokens: 30 })) {
    await expect(session.evaluate(ids)).rejects.toThrow(busy);
    break;
  }
  expect(session.length).toBe(200 + ids.length + 1);
  const options = { tokens: 30 };
  const [a, b] = await Promise.all([
    collect(model.generate(ids, options)),
    collect(model.generate(ids, options)),
  ]);
  expect(a).toEqual(b);
});

test("wrong arguments are refused, each with its reason, and leave the session as it was", async () => {
  const session = await model.session();
  await session.evaluate(ids);
  const detached = sequence(4);
  structuredClone(detached, { transfer: [detached.buffer as ArrayBuffer] });
  const loose = (value: unknown) => value as Int32Array;
  const cases: [Promise<unknown>, string, RegExp][] = [
    [session.evaluate(loose(new Float32Array(3))), "GSIC_INVALID_ARGUMENT", /must be an Int32Array/],
    [session.evaluate(loose(new BigInt64Array(3))), "GSIC_INVALID_ARGUMENT", /must be an Int32Array/],
    [session.evaluate(loose([1, 2])), "GSIC_INVALID_ARGUMENT", /must be an Int32Array/],
    [session.evaluate(detached), "GSIC_INVALID_ARGUMENT", /detached/],
    [session.evaluate(Int32Array.of(1, 2048)), "GSIC_INVALID_ARGUMENT", /token 1 is id 2048; .* 0 to 2047/],
    [session.evaluate(Int32Array.of(-1)), "GSIC_INVALID_ARGUMENT", /token 0 is id -1/],
    [session.evaluate(ids, 5), "GSIC_INVALID_ARGUMENT", /wanted must be an integer from 0 to 4/],
    [session.evaluate(ids, 0.5), "GSIC_INVALID_ARGUMENT", /wanted/],
    [session.evaluate(sequence(257)), "GSIC_CONTEXT_FULL", /257 tokens do not fit.* 4 of 256/],
    [collect(session.generate(new Int32Array(0))), "GSIC_INVALID_ARGUMENT", /prompt is empty/],
    [collect(model.generate("")), "GSIC_INVALID_ARGUMENT", /prompt is empty/],
    [collect(session.generate(detached)), "GSIC_INVALID_ARGUMENT", /detached/],
    [collect(model.generate(sequence(257))), "GSIC_CONTEXT_FULL", /257 tokens do not fit/],
    [collect(session.generate(ids, { tokens: -1 })), "GSIC_INVALID_ARGUMENT", /limit must be an integer/],
    [collect(session.generate(ids, { seed: 0.5 })), "GSIC_INVALID_ARGUMENT", /seed must be an integer/],
    [collect(session.generate(ids, { seed: -1n })), "GSIC_INVALID_ARGUMENT", /seed must be an integer/],
    [collect(model.generate(ids, { temperature: Number.NaN })), "GSIC_INVALID_ARGUMENT", /temperature is/],
    [collect(model.generate(ids, { topP: 2 })), "GSIC_INVALID_ARGUMENT", /top_p is 2/],
    [model.session({ mode: "fast" }), "GSIC_INVALID_ARGUMENT", /the modes are: bounded,exact/],
    [model.encode(5 as unknown as string), "GSIC_INVALID_ARGUMENT", /text must be a string/],
    [load(join(folder, "none.gsi")), "GSIC_IO", /none\.gsi/],
    [load(folder), "GSIC_IO", /not a regular file/],
    [load(`${bundle}\0x`), "GSIC_INVALID_ARGUMENT", /path must be a string without NUL/],
    [load(import.meta.url.slice("file://".length)), "GSIC_BAD_BUNDLE", /byte 0/],
    [load(bundle, { threads: 5000 }), "GSIC_INVALID_ARGUMENT", /threads/],
    [load(bundle, { target: "cpu-other" }), "GSIC_NO_DEVICE", /cpu-other/],
  ];
  const results = await Promise.allSettled(cases.map(([work]) => work));
  results.forEach((result, i) => {
    const [, code, message] = cases[i]!;
    const error = result.status === "rejected" ? result.reason : null;
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
  });
  expect(() => session.rewind(99)).toThrow(/cannot keep 99 tokens: it has 4/);
  expect(() => model.decode(Int32Array.of(9999))).toThrow(/no such token id/);
  expect(session.length).toBe(ids.length);
});
