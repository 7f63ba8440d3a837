import { execFile } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { promisify } from "node:util";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Worker } from "node:worker_threads";
import { afterAll, beforeAll, expect, test } from "vitest";
import { buildRuntime } from "./cc/index.js";
import { load, type Model } from "./load.js";
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

test("dispose during a run ends it, and frees everything; use after dispose is refused", async () => {
  const before = mappings();
  const disposed = expect.objectContaining({ code: "GSIC_DISPOSED" });
  const other = await load(bundle);
  expect(mappings()).toBe(before + 1);
  const [one, two] = [await other.session(), await other.session()];
  const reading = async () => {
    for await (const _ of one.generate(ids)) one.dispose();
  };
  await expect(reading()).rejects.toThrow(disposed);
  await expect(one.evaluate(ids)).rejects.toThrow(disposed);
  expect(() => one.rewind(0)).toThrow(disposed);
  one.dispose();

  const running = two.evaluate(sequence(250), 250);
  const streaming = collect(other.generate(prompt, { tokens: 200 }));
  const opening = other.session();
  const encoding = other.encode("text");
  other.dispose();
  for (const result of await Promise.allSettled([running, streaming, opening]))
    expect(result).toMatchObject({ status: "rejected", reason: disposed });
  expect((await encoding).length).toBeGreaterThan(0);
  await until(() => mappings() === before);
  expect(() => two.length).toThrow(disposed);
  expect(() => other.decode(ids)).toThrow(disposed);
  await expect(other.encode("x")).rejects.toThrow(disposed);
  await expect(collect(other.generate(ids))).rejects.toThrow(disposed);
  other.dispose();
  expect(other.info.name).toBe("tiny-gpt2");

  const scoped = await load(bundle);
  const session = await scoped.session();
  await session[Symbol.asyncDispose]();
  await expect(session.evaluate(ids)).rejects.toThrow(disposed);
  await scoped[Symbol.asyncDispose]();
  await until(() => mappings() === before);
});

test("what is not disposed of goes with garbage collection, even a loop that was dropped half-way", async () => {
  setFlagsFromString("--expose-gc");
  const collectGarbage = runInNewContext("gc") as () => void;
  const before = mappings();
  const leave = async () => {
    const other = await load(bundle);
    const session = await other.session();
    await session.evaluate(ids);
    const stream = session.generate(ids)[Symbol.asyncIterator]();
    for (let i = 0; i < 3; i++) await stream.next();
  };
  await leave();
  await until(() => {
    collectGarbage();
    return mappings() === before;
  });
});

/** JavaScript for another thread or process: the bare addon, because those cannot import TypeScript. */
const script = async (body: string): Promise<string> => `
  const addon = { exports: {} };
  process.dlopen(addon, ${JSON.stringify(await buildRuntime("addon"))});
  const sampling = { temperature: 0, topK: 0, topP: 0, minP: 0, seed: 0n, repetitionPenalty: 1, presencePenalty: 0,
    frequencyPenalty: 0, biasIds: new Int32Array(0), biases: [] };
  (async () => {
    const model = await addon.exports.Model.open(${JSON.stringify(bundle)}, 1, null, true);
    const session = await model.openSession(null);
    const ids = await model.encode(${JSON.stringify(prompt)}, true, new Int32Array(0)).done;
    ${body}
  })();`;

test("worker threads have models of their own, and can be terminated during work", async () => {
  const expected = (await collect(model.generate(ids, { tokens: 20 }))).ids;
  const body = await script(`
    const found = [];
    const run = session.generate(ids, 20, sampling, (id) => { found.push(id); run.taken(); });
    await run.done;
    require("node:worker_threads").parentPort.postMessage(found);`);
  const before = mappings();
  const results = [0, 1].map(async () => {
    const worker = new Worker(body, { eval: true });
    const [found] = await Promise.all([once(worker, "message"), once(worker, "exit")]);
    return found[0];
  });
  expect(await Promise.all(results)).toEqual([expected, expected]);
  const works = [
    "session.generate(ids, 200, sampling, (id) => {});",
    "const run = session.generate(ids, 200, sampling, () => run.taken());",
    "session.evaluate(new Int32Array(250), 250);",
    `for (;;) await addon.exports.Model.open(${JSON.stringify(bundle)}, 1, null, true);`,
  ];
  for (const work of works) {
    const message = `require("node:worker_threads").parentPort.postMessage("started"); setInterval(() => {}, 1000);`;
    const worker = new Worker(await script(`${message} ${work}`), { eval: true });
    await once(worker, "message");
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(await worker.terminate()).toBe(1);
  }
  await until(() => mappings() === before);
});

test("a process ends although a run waits for its reader, and during a run", async () => {
  const waiting = await script("session.generate(ids, 200, sampling, () => {}); console.log('waiting');");
  expect((await promisify(execFile)(process.execPath, ["-e", waiting])).stdout).toBe("waiting\n");
  const leaving = await script(
    "const run = session.generate(ids, 200, sampling, (id) => { run.taken(); process.exit(0); });",
  );
  for (let i = 0; i < 5; i++) await promisify(execFile)(process.execPath, ["-e", leaving]);
});

test("1,000 times load, run and dispose do not let the process grow", async () => {
  const cycle = async () => {
    const other = await load(bundle);
    const session = await other.session();
    await session.evaluate(ids);
    other.dispose();
  };
  for (let i = 0; i < 50; i++) await cycle();
  const held = () => ["fd", "task"].map((kind) => readdirSync(`/proc/self/${kind}`).length);
  const [files, threads] = held();
  const handles = process.getActiveResourcesInfo().length;
  const before = process.memoryUsage.rss();
  const mapped = mappings();
  for (let i = 0; i < 1000; i++) await cycle();
  expect(mappings()).toBe(mapped);
  expect(held()[0]).toBeLessThan(files! + 30);
  expect(held()[1]).toBeLessThan(threads! + 30);
  expect(process.getActiveResourcesInfo().length).toBeLessThan(handles + 30);
  // A session has 1.5 MB of KV cache, and a model 5 MB of file that the hash check touches. 30 MB is what a leak of
  // 30 kB a cycle would add; measured is less than 1 MB, and the rest is room for V8's own heap.
  expect((process.memoryUsage.rss() - before) / 1e6).toBeLessThan(30);
});
