import { expect, test } from "vitest";
import { relativeError } from "../../check/check.js";
import type { GpuTarget } from "../../config/target.js";
import type { DType, Node } from "../../ir/graph.js";
import { referenceLogits } from "../../oracle/reference.js";
import { densePlan, noFactors } from "../../testing/fixtures.js";
import {
  gaussian,
  matrixRef,
  modelOf,
  randomBlocks,
  type StoredTensor,
  storedAs,
} from "../../testing/kernels.js";
import { feedSimulated, h200, mi300x, shapedAs, simulatedBundle } from "../../testing/simulation.js";

/** Few waves a workgroup, so that rows of few elements have several rounds, and workgroups several groups of tiles. */
const small = { wavesPerWorkgroup: 2 };
const [width, inner, tokens] = [1536, 512, 3];
const random = gaussian(3);
const normal = (length: number, scale = 1) => Float32Array.from({ length }, () => scale * random());

function stored(dtype: DType, out: number, d: number): StoredTensor {
  const bytes = dtype.startsWith("q")
    ? randomBlocks(dtype, out * d, d)
    : storedAs(dtype, normal(out * d, 1 / Math.sqrt(d)));
  return { dtype, out, d, bytes };
}

type Types = readonly [gate: DType, up: DType, down: DType, head: DType];

/** A GLU behind a LayerNorm, a linear with a bias and a residual, and a head behind an RMS norm. */
async function modelWith([gate, up, down, head]: Types) {
  const vector = (length: number): StoredTensor => ({
    ...{ dtype: "f32", out: length, d: null },
    bytes: storedAs("f32", normal(length)),
  });
  const ref = (tensor: string, length = width) => ({ tensor, length, first: 0 });
  const linear = (id: string, input: string, type: DType, out: number, d: number, bias: string | null) => {
    const weight = matrixRef(`w_${id}`, type, out, d);
    return {
      kind: "linear",
      id,
      layer: null,
      input,
      weight,
      bias: bias === null ? null : ref(bias, out),
    } as const;
  };
  const norm = { kind: "norm", layer: null, heads: 1, epsilon: 1e-5, gain: ref("gain") } as const;
  const table = matrixRef("x", "f32", tokens, width);
  const nodes: Node[] = [
    { kind: "embedding", id: "x", layer: null, index: "position", table, offset: 0, scale: 1 },
    { ...norm, id: "a", input: "x", method: "layer", bias: ref("shift") },
    linear("gate", "a", gate, inner, width, null),
    { kind: "activation", id: "b", layer: null, input: "gate", function: "silu" },
    linear("up", "a", up, inner, width, null),
    { kind: "multiply", id: "c", layer: null, left: "b", right: "up" },
    linear("down", "c", down, width, inner, "bias"),
    { kind: "add", id: "e", layer: null, left: "x", right: "down" },
    { ...norm, id: "f", input: "e", method: "rms", bias: null },
    linear("logits", "f", head, 21, width, null),
  ];
  return modelOf(
    {
      ...{ gain: vector(width), shift: vector(width), bias: vector(width) },
      x: { dtype: "f32", out: tokens, d: width, bytes: storedAs("f32", normal(tokens * width)) },
      ...{ w_gate: stored(gate, inner, width), w_up: stored(up, inner, width) },
      ...{ w_down: stored(down, width, inner), w_logits: stored(head, 21, width) },
    },
    { vocabulary: 21, context: tokens, output: "logits", nodes },
  );
}

const cases: readonly (readonly [name: string, target: GpuTarget, types: Types])[] = [
  ["mi300x", shapedAs(mi300x, small), ["bf16", "bf16", "f16", "q8_0"]],
  // Rows are staged in chunks, and gate and up each in their own way.
  ["mi300x with little LDS", shapedAs(mi300x, { ...small, lds: 12 << 10 }), ["q4_k", "q6_k", "q4_0", "bf16"]],
  ["h200", shapedAs(h200, { wavesPerWorkgroup: 4 }), ["q4_k", "q4_k", "bf16", "f32"]],
];

test.each(cases)(
  "weights on their way before the norm give the bits of passes of many columns: %s",
  async (_, target, types) => {
    const model = await modelWith(types);
    const ids = Array<number>(tokens).fill(0);
    const simulated = await simulatedBundle(model, densePlan, ["exact"], noFactors, target);
    const sources = simulated.scheduled.kernels.map(({ source }) => source).join("\n");
    for (const name of ["multiply_alone", "multiply_pair_alone"]) expect(sources).toContain(`${name}<`);
    const { logits } = await feedSimulated(simulated, ids);
    expect(relativeError(logits, referenceLogits(model.graph, model.weights, ids))).toBeLessThan(1e-4);
    const alone = await feedSimulated(simulated, ids, { chunks: [1], units: 3, backward: true });
    expect(alone.logits).toEqual(logits);
    model.weights.close();
  },
);
