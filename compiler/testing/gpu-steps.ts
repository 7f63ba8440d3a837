/** Steps of shapes that no model has, and their kernels: for tests that look at machine code. */

import type { GpuTarget } from "../config/target.js";
import { partsOf } from "../emit/gpu/attention.js";
import { deviceKernelOf } from "../emit/gpu/kernel.js";
import { loadTemplates } from "../emit/template.js";
import { factorQuantizer } from "../ir/forms.js";
import type { AttentionNode, DType, NormNode, RopeNode } from "../ir/graph.js";
import type { Quantizer } from "../ir/plan.js";
import type { Kernel } from "../ir/program.js";
import type { DeviceStep } from "../ir/steps.js";

const render = loadTemplates("gpu");

/** The context of kernels, unless they say otherwise. */
const defaultContext = 4096;

/** The kernel of a step that no model has: emission needs no weights. */
export function kernelOf(step: DeviceStep, target: GpuTarget, context = defaultContext): Kernel {
  const { operands, params, template, ...call } = deviceKernelOf(step, context, target);
  const symbol = `gsic_${call.symbol}`;
  const source = render(template, { ...params, symbol });
  const parameters = operands.map(({ name, type }) => ({ name, type }));
  return { symbol, template, summary: params.summary, arguments: parameters, launch: call.launch, source };
}

/** The norm of an input of 4096 elements. */
export const norm: NormNode = {
  kind: "norm",
  id: "n",
  layer: null,
  input: "h",
  method: "rms",
  heads: 1,
  bias: null,
  epsilon: 1e-5,
  gain: { tensor: "gain", length: 4096, first: 0 },
};
type ProjectStep = Extract<DeviceStep, { kind: "project" }>;

/** y = W x, or as `more` says. */
export function project(dtype: DType, out: number, d: number, more: Partial<ProjectStep> = {}): ProjectStep {
  const part = (linear: string) => ({
    linear,
    weight: {
      kind: "stored",
      matrix: { tensor: linear, dtype, out, d, transposed: false, first: 0 },
    } as const,
    quantized: null,
    image: more.gate ? ({ kind: "image", linear, out, k: more.gate.k } as const) : null,
    bias: null,
    column: 0,
  });
  return {
    kind: "project",
    layer: null,
    output: "y",
    input: "x",
    normed: "x",
    norm: null,
    given: null,
    attended: null,
    d,
    width: out,
    parts: more.glu ? [part("gate"), part("up")] : [part("w")],
    activation: null,
    glu: false,
    residual: null,
    gate: null,
    correction: null,
    exact: null,
    counts: true,
    head: false,
    ...more,
  };
}

/** rho < 0.1 in a basis of 64 directions of d. */
export const gateFor = (d: number): NonNullable<ProjectStep["gate"]> => {
  return { coordinates: "g", k: 64, epsilon: 0.1, basis: { kind: "basis", input: "x", k: 64, d } };
};

/** y = Q x + A (B^T x), or as `more` says. */
export function tiered(
  quantizer: Quantizer,
  rank: number,
  out: number,
  d: number,
  more: Partial<ProjectStep> = {},
): ProjectStep {
  const recipe = { input: "x", linears: ["w"], quantizers: [quantizer], rank, projections: 0 };
  const factor = { d, quantizer: factorQuantizer, rank: 0, recipe };
  const step = project("bf16", out, d, {
    correction: rank === 0 ? null : { kind: "correction", out: rank, ...factor },
    ...more,
  });
  const quantized = { kind: "quantized", out, d, quantizer, rank, recipe } as const;
  const parts = step.parts.map((part) => ({ ...part, quantized: { ...quantized, linear: part.linear } }));
  return { ...step, parts };
}

/** ||S x|| < 0.1 ||x|| for an input of d elements. */
export const exactFor = (d: number): ProjectStep["exact"] => {
  const recipe = { input: "x", linears: ["w"], quantizers: [], rank: 0, projections: 16 };
  const source = { kind: "projections", out: 16, d, quantizer: factorQuantizer, rank: 0, recipe } as const;
  return { projections: 16, threshold: 0.1, source };
};

/** What a layer with rotated heads has for attention. */
interface AttentionSteps {
  readonly attend: DeviceStep;
  /** Null where a query sees too few parts. */
  readonly combine: DeviceStep | null;
  /** The input of the projection behind it; null where that is attention's result. */
  readonly attended: ProjectStep["attended"];
}

/** Attention of a layer, behind which `reader` alone reads it, and what combines its parts. */
export function attentionSteps(
  shape: Pick<AttentionNode, "heads" | "kvHeads" | "headDim"> &
    Partial<Pick<AttentionNode, "window" | "cache">>,
  { gpu }: GpuTarget,
  context = defaultContext,
  reader: ProjectStep | null = null,
): AttentionSteps {
  const { heads, kvHeads, headDim } = shape;
  const attention: AttentionNode = {
    ...{ kind: "attention", id: "a", layer: null, query: "q", key: "k", value: "v" },
    ...{ scale: 0.1, cache: "f32", window: null, ...shape },
  };
  const rope: RopeNode = {
    ...{ kind: "rope", id: "r", layer: null, input: "q", heads, headDim, rotaryDim: headDim },
    ...{ pairing: "half", theta: 1e4, scaling: { kind: "none" } },
  };
  const { width, staged, combined } = partsOf(attention, reader, context, gpu);
  const partials = width === 0 ? null : { output: "parts", width, staged };
  const shared = { layer: 0, output: "y", attention } as const;
  const attend: DeviceStep = {
    ...{ kind: "attend", ...shared, partials, source: "x", norms: null, rope },
    sourceWidth: (heads + 2 * kvHeads) * headDim,
    queryColumn: 0,
    keyColumn: heads * headDim,
    valueColumn: (heads + kvHeads) * headDim,
  };
  return {
    attend,
    combine: partials === null || !combined ? null : { kind: "combine", ...shared, partials },
    attended: partials === null || staged === 0 ? null : { attention, partials },
  };
}
