/** Batches from Node: what many requests get together is what each gets alone. */

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { buildRuntime } from "./cc/index.js";
import { type Batch, type Ending, load, type Model, type Token } from "./load.js";
import {
  bundle,
  collect,
  makeBundle,
  mappings,
  prompt,
  removeBundle,
  sequence,
  until,
} from "./testing/load.js";

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

/** An ending where nothing drafts. */
const ended = (reason: Ending["reason"]): Ending => ({ reason, proposedTokens: 0, acceptedTokens: 0 });

test("a cache that was kept in a file gives the same texts, and other modes refuse it", async () => {
  const folder = mkdtempSync(join(tmpdir(), "gsic-kept-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "cache");
  const prompts = [ids, sequence(70), sequence(71), sequence(33)];
  const write = (batch: Batch) =>
    Promise.all(
      prompts.map((one, i) => collect(batch.generate(one, { tokens: 20, temperature: i % 2, seed: 5n }))),
    );
  const [mode, other] = model.info.modes;
  const first = await model.batch({ mode });
  const running = write(first);
  // While passes run, too.
  await first.saveCache(file);
  const expected = await running;
  const kept = await first.saveCache(file);
  expect(kept).toBeGreaterThan(70);
  await expect(first.loadCache(file)).rejects.toMatchObject({ code: "GSIC_INVALID_ARGUMENT" });
  first.dispose();
  await expect(first.saveCache(file)).rejects.toMatchObject({ code: "GSIC_DISPOSED" });
  const second = await model.batch({ mode });
  expect(await second.loadCache(file)).toBe(kept);
  expect(await write(second)).toEqual(expected);
  expect(second.counts().sharedTokens).toBeGreaterThan(100);
  second.dispose();
  const third = await model.batch({ mode: other });
  await expect(third.loadCache(file)).rejects.toMatchObject({ code: "GSIC_BAD_BUNDLE" });
  await expect(third.saveCache(join(folder, "none", "cache"))).rejects.toMatchObject({ code: "GSIC_IO" });
  third.dispose();
});

/** Reads all tokens, and why they ended. */
async function whole<End>(tokens: AsyncGenerator<Token, End, undefined>) {
  const all: Token[] = [];
  for (;;) {
    const next = await tokens.next();
    if (next.done === true) return { tokens: all, end: next.value };
    all.push(next.value);
  }
}

test("many requests at once get what each gets alone, sampled and greedy, in every mode", async () => {
  for (const mode of model.info.modes) {
    const batch = await model.batch({ mode });
    const requests = Array.from({ length: 24 }, (_, i) => ({
      prompt: i % 3 === 0 ? ids : sequence(1 + ((i * 7) % 90)),
      options: {
        tokens: 1 + ((i * 11) % 60),
        temperature: i % 4 === 0 ? 0 : 0.4 * (i % 4),
        topK: i % 5,
        seed: BigInt(i) << 58n,
        minP: i % 7 === 0 ? 0.1 : 0,
        frequencyPenalty: i % 6 === 1 ? 0.6 : 0,
        repetitionPenalty: i % 6 === 2 ? 1.2 : 1,
        bias: new Map(i % 6 === 3 ? [[11, 4]] : []),
      },
    }));
    const together = await Promise.all(
      requests.map(({ prompt: one, options }) => collect(batch.generate(one, options))),
    );
    for (const [i, { prompt: one, options }] of requests.entries())
      expect(together[i], `${mode}, request ${i}`).toEqual(
        await collect(model.generate(one, { ...options, mode })),
      );
    // The last event may come before its pass is counted.
    await until(() => batch.counts().blocksHeld === 0);
    const counts = batch.counts();
    expect(counts).toMatchObject({ waiting: 0, reading: 0, writing: 0, paused: 0, blocksHeld: 0 });
    expect(counts.columns).toBeGreaterThan(2 * counts.passes);
    expect(counts.sharedTokens).toBeGreaterThan(0);
    batch.dispose();
  }
});

test("a request ends by its limit, its end, the context's; log-probabilities are the same in company", async () => {
  const batch = await model.batch();
  const alone = await whole(batch.generate(ids, { tokens: 20, logProbabilities: true }));
  expect(alone.end).toEqual(ended("limit"));
  const [again, stopped, full] = await Promise.all([
    whole(batch.generate(ids, { tokens: 20, logProbabilities: true })),
    whole(batch.generate(ids, { tokens: 20, stopIds: Int32Array.of(alone.tokens[5]!.id) })),
    whole(batch.generate(sequence(250), { temperature: 2, seed: 1 })),
  ]);
  expect(again).toEqual(alone);
  expect(alone.tokens.every(({ logProbability }) => logProbability! < 0)).toBe(true);
  const first = alone.tokens.findIndex(({ id }) => id === alone.tokens[5]!.id);
  expect(stopped).toEqual({
    end: ended("text"),
    tokens: alone.tokens.slice(0, first).map(({ id, text }) => ({ id, text })),
  });
  expect(full.end.reason === "context" ? full.tokens.length : 6).toBe(6);
  batch.dispose();
});

test("a prompt is scored: each of its tokens comes first, as likely as the model says behind those before it", async () => {
  const batch = await model.batch();
  const session = await model.session();
  const logits = await session.evaluate(ids, ids.length);
  session.dispose();
  const { vocabulary } = model.info;
  const options = { logProbabilities: true, alternatives: 3, scorePrompt: true } as const;
  const [scored, read] = await Promise.all([
    whole(batch.generate(ids, { ...options, tokens: 4 })),
    whole(batch.generate(ids, { ...options, tokens: 0 })),
  ]);
  const prompted = scored.tokens.slice(0, ids.length);
  expect(read).toEqual({ tokens: prompted, end: ended("limit") });
  expect(prompted.every(({ ofPrompt }) => ofPrompt)).toBe(true);
  expect(scored.tokens.slice(ids.length).map(({ ofPrompt }) => ofPrompt)).toEqual(Array(4).fill(undefined));
  expect(prompted[0]).toMatchObject({ id: ids[0], logProbability: Number.NaN, alternatives: [] });
  for (const [i, { id, logProbability, alternatives }] of prompted.entries()) {
    expect(id).toBe(ids[i]);
    if (i === 0) continue;
    const row = [...logits.subarray((i - 1) * vocabulary, i * vocabulary)];
    const total = Math.log(row.reduce((sum, one) => sum + Math.exp(one), 0));
    expect(logProbability).toBeCloseTo(row[id]! - total, 4);
    const best = [...row].sort((a, b) => b - a).slice(0, 3);
    expect(alternatives!.map((one) => row[one.id])).toEqual(best);
    for (const one of alternatives!) expect(one.logProbability).toBeCloseTo(row[one.id]! - total, 4);
  }
  batch.dispose();
});

test("a constraint says what may come, is asked no more than needed, and its failure is the request's", async () => {
  const batch = await model.batch();
  const words = Math.ceil(model.info.vocabulary / 32);
  const only = (...allowed: number[]) => {
    const mask = new Int32Array(words);
    for (const id of allowed) mask[id >> 5]! |= 1 << (id & 31);
    return mask;
  };
  /** 11 or 13, then 17, 19, 23, and so on. */
  let asked = 0;
  const forced = [17, 19, 23];
  const constraint = (found: Int32Array) => {
    asked++;
    const at = found.length % 4;
    if (at !== 1) return { masks: at === 0 ? only(11, 13) : only(forced[at - 1]!), ahead: new Int32Array(0) };
    const masks = [...only(17), ...only(19), ...only(23), ...only(11, 13)];
    return { masks: Int32Array.from(masks), ahead: Int32Array.from(forced) };
  };
  const others = [1, 2, 3].map((seed) => collect(batch.generate(ids, { tokens: 40, temperature: 1, seed })));
  const { tokens, end } = await whole(
    batch.generate(ids, { tokens: 21, temperature: 2, seed: 5, constraint }),
  );
  const found = tokens.map(({ id }) => id);
  expect(found.every((id, i) => (i % 4 === 0 ? [11, 13].includes(id) : id === forced[(i % 4) - 1]))).toBe(
    true,
  );
  // What stands behind the forced tokens came with them.
  expect(asked).toBe(6);
  expect(end).toEqual({ reason: "limit", proposedTokens: 15, acceptedTokens: 15 });
  for (const [i, other] of others.entries())
    expect(await other).toEqual(
      await collect(model.generate(ids, { tokens: 40, temperature: 1, seed: i + 1 })),
    );
  const failing = () => Promise.reject(new Error("no rule"));
  await expect(whole(batch.generate(ids, { constraint: failing }))).rejects.toThrow("no rule");
  const nothing = () => ({ masks: only(), ahead: new Int32Array(0) });
  await expect(whole(batch.generate(ids, { constraint: nothing }))).rejects.toThrow(/allows no token/);
  await until(() => batch.counts().blocksHeld === 0);
  batch.dispose();
});

test("a loop that is left, an abort, and a reader that takes nothing hold nobody up", async () => {
  const batch = await model.batch();
  const idle = batch.generate(ids, { temperature: 1, seed: 4 });
  await idle.next();
  for await (const _ of batch.generate(ids, { temperature: 1, seed: 5 })) break;
  const controller = new AbortController();
  const aborted = collect(batch.generate(ids, { temperature: 1, seed: 6, signal: controller.signal }));
  controller.abort(new Error("enough"));
  await expect(aborted).rejects.toThrow("enough");
  expect((await collect(batch.generate(ids, { tokens: 30 }))).ids).toHaveLength(30);
  await until(() => batch.counts().paused === 1 && batch.counts().writing === 0);
  await idle.return(ended("limit"));
  await until(() => batch.counts().paused === 0);
  batch.dispose();
});

test("wrong requests are refused; after dispose nothing runs, and everything is freed", async () => {
  const before = mappings();
  const other = await load(bundle);
  const batch = await other.batch();
  const refused = (one: Int32Array, options = {}) => batch.generate(one, options).next();
  const invalid = expect.objectContaining({ code: "GSIC_INVALID_ARGUMENT" });
  await expect(refused(new Int32Array(0))).rejects.toThrow(invalid);
  await expect(refused(Int32Array.of(5000))).rejects.toThrow(invalid);
  await expect(refused(ids, { temperature: -1 })).rejects.toThrow(invalid);
  await expect(refused(sequence(257))).rejects.toThrow(
    expect.objectContaining({ code: "GSIC_CONTEXT_FULL" }),
  );
  await expect(other.batch({ cacheBytes: 1000 })).rejects.toThrow(/hold no context/);
  const disposed = expect.objectContaining({ code: "GSIC_DISPOSED" });
  const running = Promise.allSettled(
    [1, 2, 3].map((seed) => collect(batch.generate(ids, { temperature: 2, seed }))),
  );
  other.dispose();
  for (const result of await running)
    if (result.status === "rejected") expect(result.reason).toEqual(disposed);
  await expect(refused(ids)).rejects.toThrow(disposed);
  expect(() => batch.counts()).toThrow(disposed);
  await until(() => mappings() === before);
});

test("a process ends although its batch is open, and although a reader takes nothing", async () => {
  const program = `
    const addon = { exports: {} };
    process.dlopen(addon, ${JSON.stringify(await buildRuntime("addon"))});
    (async () => {
      const model = await addon.exports.Model.open(${JSON.stringify(bundle)}, 1, null, true);
      let idle;
      const batch = await model.openBatch(null, 0, (ticket, id, text) => {
        if (ticket === idle) return;
        if (typeof id === "number") batch.taken(ticket);
        else console.log(id);
      });
      const submit = (limit) => batch.submit(Int32Array.of(1, 2), new Int32Array(0), limit, sampling, told, false);
      const told = { logProbabilities: false, alternatives: 0, scorePrompt: false };
      const sampling = { temperature: 1, topK: 0, topP: 0, minP: 0, seed: 1n, repetitionPenalty: 1,
        presencePenalty: 0, frequencyPenalty: 0, biasIds: new Int32Array(0), biases: [] };
      idle = submit(200);
      submit(40);
    })();
  `;
  const { status, stdout, stderr } = spawnSync(process.execPath, ["-e", program], { encoding: "utf8" });
  expect({ status, stderr, stdout }).toEqual({ status: 0, stderr: "", stdout: "limit\n" });
});
