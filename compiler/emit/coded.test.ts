import { describe, expect, test } from "vitest";
import type { Graph, Node } from "../ir/graph.js";
import type { Form, Plan } from "../ir/plan.js";
import type { ProgramMode } from "../ir/program.js";
import { rareWeights } from "../layout/coded-tiles.js";
import { withCodedWeights } from "../models/coded.js";
import type { Model } from "../models/model.js";
import type { FactorSource } from "../pack/weights.js";
import { makePlan } from "../passes/index.js";
import {
  densePlan,
  noFactors,
  openFixture,
  skipOtherTargets,
  testTargets,
  writePlanBundle,
} from "../testing/fixtures.js";
import {
  feed,
  gaussian,
  hardInputs,
  hardWeights,
  linearModel,
  matrixRef,
  modelOf,
  storedAs,
} from "../testing/kernels.js";
import { planOf, roundedFactors } from "../testing/tiers.js";

await skipOtherTargets();

/** Columns of a pass. */
const widths = Array.from({ length: 16 }, (_, i) => i + 1);

function bits(values: Float32Array): Uint32Array {
  return new Uint32Array(values.buffer, values.byteOffset, values.length);
}

/** The 65,536 patterns of bf16, in an order in which neighbours have little in common. */
const everyPattern = () => Uint16Array.from({ length: 65536 }, (_, i) => (i * 40503) & 0xffff);

const dense = (model: Model) => makePlan(model.graph, { options: densePlan });

interface Comparison {
  /** The graph with its weights coded. */
  readonly coded?: Graph;
  readonly modes?: readonly ProgramMode[];
  readonly plan?: (model: Model) => Plan;
  readonly factors?: FactorSource;
  /** How many of this machine's targets. */
  readonly targets?: number;
}

/** Compares a model's logits with those of its weights coded, bit for bit, in passes of 1 to 16 columns. */
async function compare(
  model: Model,
  ids: readonly number[],
  { modes = ["exact"], plan = dense, factors = noFactors, targets = 3, ...options }: Comparison = {},
): Promise<void> {
  const coded = options.coded ?? withCodedWeights(model.graph, model.weights);
  expect(JSON.stringify(coded)).toContain('"coded":');
  for (const target of (await testTargets()).slice(0, targets)) {
    const bundleOf = (one: Model) => writePlanBundle(one, plan(one), modes, factors, [target]);
    const stored = await bundleOf(model);
    const packed = await bundleOf({ ...model, graph: coded });
    for (const mode of modes) {
      for (const width of widths.slice(0, ids.length)) {
        const feeding = { target, mode, chunks: [width], threads: 1 + (width % 3) };
        const expected = bits((await feed(stored, ids, feeding)).logits);
        const found = bits((await feed(packed, ids, feeding)).logits);
        expect(found, `${target.name}, ${mode}, ${width} columns`).toEqual(expected);
      }
    }
  }
}

describe("logits of packed weights are those of stored ones, bit for bit", () => {
  for (const name of ["gpt2-bf16", "gptj-bf16", "llama-bf16", "qwen3-bf16"]) {
    test(name, async () => {
      const { model, ids } = await openFixture(name);
      await compare(model, ids, { targets: name === "gpt2-bf16" ? 3 : 1 });
      model.weights.close();
    });
  }

  test("behind gates, and in an exact tier", async () => {
    const { model, ids } = await openFixture("gpt2-bf16");
    const quantizer = { bits: 4, group: 32, symmetric: true } as const;
    const exact = { projections: 4, threshold: 2 };
    const form: Form = { gate: { k: 5, epsilon: 0.93 }, tier: { quantizer, rank: 8, exact } };
    const factors = roundedFactors(model, 5, ids);
    const plan = (one: Model) => planOf(one, form);
    await compare(model, ids, { modes: ["bounded", "exact"], plan, factors, targets: 1 });
    model.weights.close();
  });

  // One segment, several, groups of tiles and parts of them, and rows that no tile is full of.
  for (const [out, d] of [
    [301, 96],
    [138, 1250],
  ] as const) {
    test(`${out} rows of ${d}, tiny and huge weights among them`, async () => {
      const bytes = storedAs("bf16", hardWeights("bf16", out, d));
      const model = await linearModel(hardInputs(16, d), 16, { dtype: "bf16", out, d, bytes });
      await compare(model, [...Array(16).keys()]);
      model.weights.close();
    });
  }

  test("of nearly every pattern that bf16 has, most of them rare", async () => {
    const [out, d] = [128, 512];
    // Without the largest magnitudes: logits are refused that are not finite.
    const words = everyPattern().map((word) => ((word & 0x7f80) >= 0x7000 ? word & 0x8fff : word));
    const bytes = new Uint8Array(words.buffer);
    const random = gaussian(5);
    const inputs = Float32Array.from({ length: 16 * d }, () => random() / 1000);
    const model = await linearModel(inputs, 16, { dtype: "bf16", out, d, bytes });
    const nodes = model.graph.nodes.map((node) =>
      node.kind === "linear" ? { ...node, weight: { ...node.weight, coded: rareWeights(d, bytes) } } : node,
    );
    await compare(model, [...Array(16).keys()], { coded: { ...model.graph, nodes } });
    model.weights.close();
  });
});

test("a row that is looked up has each pattern of a number, as it is stored", async () => {
  const [out, d] = [512, 128];
  // Of NaN and infinities the identity would make NaN of a whole row.
  const table = everyPattern().map((word) => ((word & 0x7f80) === 0x7f80 ? word & 0x807f : word));
  const bytes = new Uint8Array(table.buffer);
  const identity = Float32Array.from({ length: d * d }, (_, i) => (i % (d + 1) === 0 ? 1 : 0));
  const tensors = {
    table: { dtype: "bf16", out, d, bytes },
    identity: { dtype: "f32", out: d, d, bytes: storedAs("f32", identity) },
  } as const;
  const room = Math.max(
    ...[0, 128, 256, 384].map((row) => rareWeights(d, bytes.subarray(2 * d * row, 2 * d * (row + 128)))),
  );
  const nodes: readonly Node[] = [
    {
      kind: "embedding",
      id: "x",
      layer: null,
      index: "position",
      table: { ...matrixRef("table", "bf16", out, d), coded: room },
      offset: 0,
      scale: 1,
    },
    {
      kind: "linear",
      id: "y",
      layer: null,
      input: "x",
      weight: matrixRef("identity", "f32", d, d),
      bias: null,
    },
  ];
  const model = await modelOf(tensors, { vocabulary: d, context: out, output: "y", nodes });
  const targets = await testTargets();
  const bundle = await writePlanBundle(model, dense(model), ["exact"], noFactors, targets);
  for (const target of targets) {
    const { logits } = await feed(bundle, Array(out).fill(0), { target, mode: "exact" });
    const expected = Float32Array.from(table, (word) => {
      const value = new Float32Array(Uint32Array.of(word << 16).buffer)[0]!;
      return value === 0 ? 0 : value;
    });
    expect(bits(logits), target.name).toEqual(bits(expected));
  }
  model.weights.close();
});
