import { describe, expect, test } from "vitest";
import { runTool } from "../cc/tool.js";
import { withCache } from "../ir/cache.js";
import type { CacheType, Graph } from "../ir/graph.js";
import { verifying } from "../ir/program.js";
import { cacheBlock, cacheRoom } from "../layout/cache.js";
import { type Model as Loaded, load } from "../load.js";
import type { Model } from "../models/model.js";
import { makePlan } from "../passes/index.js";
import { schedule } from "../schedule/program.js";
import { openFixture, testTargets, writePlanBundle } from "../testing/fixtures.js";
import { chosenFactors } from "../testing/kernels.js";
import { collect } from "../testing/load.js";

/** Heads that are normalised and rotated before they are kept, and gates, so that drafts differ from what is decided. */
const name = "qwen3-bf16";
const forms = { forms: ["gated" as const], k: [5], epsilon: [0.85] };
const planOf = (model: Model, type: CacheType) => makePlan(withCache(model.graph, type), { options: forms });

describe("where drafts read a cache of eight bits", () => {
  test("lossless mode writes exact mode's text, and every mode takes the room of what it keeps", async () => {
    const fixture = await openFixture(name);
    const targets = (await testTargets()).slice(0, 1);
    const bundle = await writePlanBundle(
      fixture.model,
      planOf(fixture.model, "int8"),
      ["bounded", "exact", "lossless"],
      chosenFactors(fixture.model, 5, fixture.ids),
      targets,
    );
    const model = await load(bundle);
    await expectSameTexts(model);
    await expectSameBits(bundle);
    await expectRooms(model, fixture.model.graph);
    model.dispose();
    fixture.model.weights.close();
  });

  /** Greedy and sampled, alone and in company. */
  async function expectSameTexts(model: Loaded): Promise<void> {
    const tokens = model.info.context - 8;
    const batch = await model.batch({ mode: "lossless" });
    const requests = Array.from({ length: 12 }, (_, i) => ({
      prompt: Int32Array.from({ length: 1 + (i % 7) }, (_, at) => (i * 5 + at * 3) % 32),
      options: { tokens, temperature: i % 3 === 0 ? 0 : 0.5 * (i % 3), seed: i },
    }));
    const together = await Promise.all(
      requests.map(({ prompt, options }) => collect(batch.generate(prompt, options))),
    );
    for (const [i, { prompt, options }] of requests.entries()) {
      const exact = (await collect(model.generate(prompt, { ...options, mode: "exact" }))).ids;
      const alone = await collect(model.generate(prompt, { ...options, mode: "lossless" }));
      expect(alone.ids, `request ${i}`).toEqual(exact);
      expect(together[i]!.ids, `request ${i} in company`).toEqual(exact);
    }
    expect(batch.counts().proposedTokens).toBeGreaterThan(0);
    batch.dispose();
  }

  /** What it decides does not depend on the company, nor on what drafts left. */
  async function expectSameBits(bundle: string): Promise<void> {
    const args = ["company", bundle, "--mode", "lossless", "--passes", "200", "--threads", "2"];
    const found = JSON.parse(await runTool(args, () => {})) as { drafts: number; differing: number };
    expect(found.differing).toBe(0);
    expect(found.drafts).toBeGreaterThan(0);
  }

  test("the pass that decides puts keys and values where drafts read them, too", async () => {
    const { model } = await openFixture(name);
    const [target] = await testTargets();
    const scheduled = (type: CacheType) => schedule(planOf(model, type), ["bounded", "exact"], target!);
    const { programs, kernels } = scheduled("int8");
    const puts = (program: string) =>
      programs[program]!.body.filter(({ kernel }) => kernels[kernel]!.template === "cache").map((launch) => ({
        type: /CacheInt8/.test(kernels[launch.kernel]!.source) ? "int8" : "f32",
        places: launch.arguments.filter(({ buffer }) => buffer === "cache"),
      }));
    const [drafts, decides] = [puts("bounded"), puts(verifying)];
    expect(drafts.length).toBeGreaterThan(0);
    expect(decides.filter(({ type }) => type === "int8")).toEqual(drafts);
    const own = decides.filter(({ type }) => type === "f32");
    expect(own).toHaveLength(drafts.length);
    const begin = programs.bounded!.cacheBytes;
    for (const { offset } of own.flatMap(({ places }) => places))
      expect(offset).toBeGreaterThanOrEqual(begin);
  });

  async function expectRooms(model: Loaded, graph: Graph): Promise<void> {
    const block = cacheBlock(graph.context);
    const roomOf = (type: CacheType) =>
      graph.nodes.reduce(
        (sum, node) =>
          node.kind === "attention" ? sum + 2 * cacheRoom({ ...node, cache: type }, block) : sum,
        0,
      );
    const blocks = Math.ceil(graph.context / block);
    const leastOf = async (mode: string) => {
      const refusal = await model.batch({ mode, cacheBytes: 1 }).catch((error: unknown) => String(error));
      return Number(/give the cache (\d+) bytes or more/.exec(String(refusal))![1]) / blocks;
    };
    expect(await leastOf("exact")).toBe(roomOf("f32"));
    expect(await leastOf("bounded")).toBe(roomOf("int8"));
    expect(await leastOf("lossless")).toBe(roomOf("f32") + roomOf("int8"));
    expect(roomOf("int8")).toBeLessThan(0.35 * roomOf("f32"));
  }
});
