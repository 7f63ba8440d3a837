/** Helpers of the tests of tiers at few bits: factors that need no statistics, and plans of one form. */

import { factorQuantizer } from "../ir/forms.js";
import type { ValueId } from "../ir/graph.js";
import type { Form, LinearPlan, Plan, Quantizer } from "../ir/plan.js";
import type { QuantizedSource } from "../ir/steps.js";
import { linearById } from "../ir/walk.js";
import type { QuantizedLinear, QuantizedMatrix } from "../layout/quantizer.js";
import type { Model } from "../models/model.js";
import type { FactorSource } from "../pack/weights.js";
import { accountBytes } from "../passes/account-bytes.js";
import { makePlan } from "../passes/index.js";
import { chosenFactors, gaussian } from "./kernels.js";

/** Rounds each group of W [out, d] to the nearest of its levels. */
export function roundedToNearest(
  w: ArrayLike<number>,
  out: number,
  d: number,
  { bits, group, symmetric }: Quantizer,
): QuantizedMatrix {
  const groups = Math.ceil(d / group);
  const levels = 2 ** bits - 1;
  const matrix = {
    q: new Uint8Array(out * d),
    scales: new Int8Array(out * groups),
    zeros: symmetric ? null : new Uint8Array(out * groups),
    rowScales: new Float32Array(out),
  };
  for (let row = 0; row < out; row++) {
    const ranges = Array.from({ length: groups }, (_, g) => {
      const values = Array.from(
        { length: Math.min(group, d - g * group) },
        (_, i) => w[row * d + g * group + i]!,
      );
      const [low, high] = [Math.min(0, ...values), Math.max(0, ...values)];
      const step = symmetric ? Math.max(-low, high) / 2 ** (bits - 1) : (high - low) / levels;
      return { step: step * 1.0001, low };
    });
    const rowScale = Math.fround(Math.max(...ranges.map(({ step }) => step)) / 127 || 1);
    matrix.rowScales[row] = rowScale;
    for (const [g, { step, low }] of ranges.entries()) {
      const scale = Math.min(127, Math.max(1, Math.ceil(step / rowScale)));
      const unit = rowScale * scale;
      const zero = symmetric ? 2 ** (bits - 1) : Math.min(levels, Math.round(-low / unit));
      matrix.scales[row * groups + g] = scale;
      if (matrix.zeros !== null) matrix.zeros[row * groups + g] = zero;
      for (let c = g * group; c < Math.min(d, (g + 1) * group); c++)
        matrix.q[row * d + c] = Math.min(levels, Math.max(0, Math.round(w[row * d + c]! / unit) + zero));
    }
  }
  return matrix;
}

/**
 * Factors that need no statistics: W rounded to nearest, a random correction of about a hundredth of it, random
 * projections; the subspace is `chosenFactors`'.
 */
export function roundedFactors(model: Model, k: number, ids: readonly number[]): FactorSource {
  return { ...chosenFactors(model, k, ids), quantized: async (source) => rounded(model, source) };
}

function rounded(model: Model, source: QuantizedSource): QuantizedLinear {
  const { out, d, quantizer, rank } = source;
  const random = gaussian(out + 7 * d + source.kind.length);
  const values = (count: number, size: number) => Float32Array.from({ length: count }, () => size * random());
  switch (source.kind) {
    case "quantized": {
      const { weight } = linearById(model.graph, source.linear);
      const matrix = roundedToNearest(model.weights.readRows(weight, 0, out), out, d, quantizer);
      const a = Int8Array.from({ length: out * rank }, () => Math.max(-127, Math.min(127, 40 * random())));
      return { matrix, lowRank: rank === 0 ? null : { a, scales: values(out, 1e-4) } };
    }
    case "correction":
      return { matrix: roundedToNearest(values(out * d, d ** -0.5), out, d, factorQuantizer), lowRank: null };
    case "projections":
      return { matrix: roundedToNearest(values(out * d, 1), out, d, factorQuantizer), lowRank: null };
    default:
      return source satisfies never;
  }
}

/** The plan with one form for every linear that `takes` it. */
export function withForm(plan: Plan, form: Form, takes: (linear: string) => boolean = () => true): Plan {
  const linears = new Map(
    [...plan.linears].map(([id, linear]) => [id, takes(id) ? { ...linear, form } : linear]),
  );
  return { ...plan, linears };
}

/** A plan in which every linear has the form, as far as its input is wide enough; the head is never gated. */
export function planOf(model: Model, form: Form): Plan {
  const plan = makePlan(model.graph, { options: { forms: ["dense"], k: [1], epsilon: [1] } });
  const linears = new Map<ValueId, LinearPlan>();
  for (const [id, linear] of plan.linears) {
    const { d } = linearById(plan.graph, id).weight;
    const subspace = form.gate;
    const gate = id === plan.graph.output || subspace === null || subspace.k >= d ? null : subspace;
    linears.set(id, { ...linear, form: { gate, tier: form.tier } });
  }
  return accountBytes({ ...plan, linears });
}
