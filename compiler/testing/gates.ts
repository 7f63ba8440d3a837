/** Inputs whose gates are known, for the tests of every device. */

import type { Graph, LinearNode, Node } from "../ir/graph.js";
import type { Model } from "../models/model.js";
import { type FactorSource, noFactors } from "../pack/weights.js";
import { inputNode, matrixRef, modelOf, storedAs } from "./kernels.js";

/**
 * Decides gates of the given inputs: logits = W x + bias of a gated linear, through an identity. The image is far from
 * W V, so that the tier shows in the logits.
 */
export async function gateModel(
  inputs: readonly (readonly number[])[],
  basis: readonly (readonly number[])[],
): Promise<{ model: Model; factors: FactorSource }> {
  const d = inputs[0]!.length;
  const out = 2;
  const [tokens, k] = [inputs.length, basis.length];
  const f32 = (out: number, d: number | null, values: readonly number[]) => ({
    dtype: "f32" as const,
    out,
    d,
    bytes: storedAs("f32", Float32Array.from(values)),
  });
  const nodes: Graph["nodes"] = [
    inputNode("x", "x", tokens, d),
    {
      kind: "linear",
      id: "h",
      layer: null,
      input: "x",
      weight: matrixRef("w", "f32", out, d),
      bias: { tensor: "bias", length: out, first: 0 },
    },
    {
      kind: "linear",
      id: "logits",
      layer: null,
      input: "h",
      weight: matrixRef("identity", "f32", out, out),
      bias: null,
    },
  ];
  const model = await modelOf(
    {
      x: f32(tokens, d, inputs.flat()),
      w: f32(out, d, Array(out * d).fill(1)),
      bias: f32(out, null, [3, -4]),
      identity: f32(out, out, [1, 0, 0, 1]),
    },
    { vocabulary: out, context: tokens, nodes, output: "logits" },
  );
  const factors: FactorSource = {
    ...noFactors,
    basis: () => Promise.resolve(Float32Array.from(basis.flat())),
    async *image() {
      yield new Float32Array(out * k).fill(1000);
    },
  };
  return { model, factors };
}

/** Whatever the scale, a gate is closed below epsilon, open at epsilon and above; NaN keeps it open. */
function thresholds() {
  // With V = (e1, e2, e3) and x = (1, 1, 1, c), rho = c / sqrt(3 + c^2): exactly 1/2 at c = 1.
  const scaled = [1, 1e-30, 1e18, 1e30, 1e-38].flatMap((scale) => [
    [scale, scale, scale, scale],
    [scale, scale, scale, scale * 1.0001],
    [scale, scale, scale, scale * 0.9999],
  ]);
  const inputs = [
    ...scaled,
    [0, 0, 0, 0],
    [0, 0, 0, 1],
    [1, 2, 3, 0],
    [1e-42, 0, 0, 0],
    [0, 0, 0, 1e-42],
    [Number.NaN, 1, 1, 0],
    [1, 1, 1, Number.NaN],
    [Number.POSITIVE_INFINITY, 1, 1, 0],
    [1, 1, 1, Number.POSITIVE_INFINITY],
  ];
  const closed = [
    ...[1, 2, 3, 4, 5].flatMap(() => [false, false, true]),
    true,
    false,
    true,
    true,
    false,
    false,
    false,
    false,
    false,
  ];
  const basis = [
    [1, 0, 0, 0],
    [0, 1, 0, 0],
    [0, 0, 1, 0],
  ];
  return { inputs, basis, epsilon: 0.5, closed };
}
export const thresholdCases = thresholds();

/** The value is M g + b, or W x + b; of zero it is b. */
export const tierCases = {
  inputs: [
    [4, 3],
    [3, 4],
    [0, 0],
    [8, 6.0625],
    [8, 5.9375],
    [-1, 0],
  ],
  basis: [[1, 0]],
  // As a double it lies below 3/5, so that (4, 3) is open.
  epsilon: 0.6,
  logits: [7, 7, 0, 14.0625, 8000, -1000].flatMap((value) => [value + 3, value - 4]),
  tiers: [3, 3],
};

/** Two linears that read one gated input, in launches of their own: with epsilon 0.7 the tiers are 2 and 1. */
export async function twoLaunchModel() {
  const inputs = [
    [4, 3],
    [3, 4],
    [1, 0],
  ];
  const { model, factors } = await gateModel(inputs, [[1, 0]]);
  const [x, h, logits] = model.graph.nodes as [Node, LinearNode, LinearNode];
  const second: LinearNode = { ...h, id: "second" };
  const sum: Node = { kind: "add", id: "sum", layer: null, left: h.id, right: second.id };
  const nodes = [x, h, second, sum, { ...logits, input: sum.id }];
  return { model: { ...model, graph: { ...model.graph, nodes } }, factors };
}

export const twoLaunchLogits = [4000, 7, 1000].flatMap((value) => [2 * (value + 3), 2 * (value - 4)]);
