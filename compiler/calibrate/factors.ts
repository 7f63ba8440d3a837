import { GsicError } from "../errors.js";
import { sharing } from "../forms.js";
import { linearById } from "../graph.js";
import type { InputStats, Plan, QuantizedSource, ValueId } from "../ir.js";
import type { FactorSource } from "../pack/weights.js";
import type { QuantizedLinear } from "../quantizer.js";
import { dequantize, toF16 } from "../read/dequantize.js";
import type { Weights } from "../read/weights.js";
import { tileRows } from "../schedule/layout.js";
import { type Algebra, AlgebraError } from "./algebra.js";
import { distinctDirections } from "./rank.js";
import type { StatsFile } from "./stats-file.js";

const largestF16 = 65504;

/** Elements of f32 weights that are multiplied at a time. */
const chunkFloats = 1 << 22;

/** What a plan needs of the statistics of each rewritten input: k directions of its second moment, at least 1. */
export function neededRanks(plan: Plan): { input: ValueId; d: number; k: number }[] {
  return plan.groups.flatMap((group) => {
    const { form } = plan.linears.get(group.linears[0]!)!;
    if (form.kind === "dense") return [];
    const { subspace, rank } = sharing(plan, group);
    const { d } = linearById(plan.graph, group.linears[0]!).weight;
    return [{ input: group.input, d, k: Math.max(1, rank, subspace?.k ?? 0) }];
  });
}

/** `stats-too-few` (category data). */
export function tooFew(k: number, source: string, where: string, hint: string): GsicError {
  const message = `k = ${k} directions cannot come from ${source}`;
  return new GsicError({ category: "data", code: "stats-too-few", message, where, hint });
}

/** `stats-rank-deficient` (category data). */
function rankDeficient(k: number, rank: number, where: string): GsicError {
  return new GsicError({
    category: "data",
    code: "stats-rank-deficient",
    message: `k = ${k} directions cannot come from a second moment of rank ${rank}; the others are its rounding`,
    where,
    hint: "lower plan.k, or collect the statistics over more varied text",
  });
}

/**
 * Makes the factors of gated linears: V, the leading k eigenvectors of C = E[x x^T], and M = W V. V is rounded to f16
 * before M is made, so that M belongs to the V that the gate uses. One basis is held at a time, and C only while its
 * eigenvectors are computed.
 */
export class Factors implements FactorSource {
  private current: { readonly input: ValueId; readonly k: number; readonly basis: Float32Array } | undefined;

  constructor(
    private readonly plan: Plan,
    private readonly weights: Weights,
    private readonly stats: StatsFile,
    private readonly algebra: Algebra,
  ) {}

  /** Throws `stats-*` (category data) unless the file has statistics that suffice for every gated input. Cheap. */
  check(): void {
    for (const { input, d, k } of neededRanks(this.plan)) {
      const { count, sketch } = this.stats.summary(input, d);
      const where = `${this.stats.file}: ${input}`;
      if (count < k) throw tooFew(k, `${count} tokens`, where, "raise calibration.tokens, or lower plan.k");
      if (sketch !== null && sketch.width < k) {
        const hint = "lower plan.k, or collect them with a wider sketch";
        throw tooFew(k, `a sketch of ${sketch.width}`, where, hint);
      }
    }
  }

  /** V^T, [k, d], rounded to f16. */
  async basis(input: ValueId, k: number): Promise<Float32Array> {
    if (this.current?.input === input && this.current.k === k) return this.current.basis;
    this.current = undefined;
    const { linears } = this.plan.groups.find((candidate) => candidate.input === input)!;
    const { d } = linearById(this.plan.graph, linears[0]!).weight;
    const vectors = await this.eigenvectors(input, d, k);
    const rounded = dequantize("f16", new Uint8Array(toF16(vectors).buffer as ArrayBuffer), vectors.length);
    this.current = { input, k, basis: rounded };
    return rounded;
  }

  /** M = W V, [out, k], in runs of rows. */
  async *image(linear: ValueId, k: number): AsyncGenerator<Float32Array> {
    const node = linearById(this.plan.graph, linear);
    const { out, d } = node.weight;
    const basis = await this.basis(node.input, k);
    const step = tileRows * Math.max(1, Math.floor(chunkFloats / d / tileRows));
    for (let row = 0; row < out; row += step) {
      const rows = Math.min(step, out - row);
      const w = this.weights.readRows(node.weight, row, rows);
      const image = await this.algebra.multiplyTransposed(w, basis, rows, k, d);
      this.requireRange(image, linear);
      yield image;
    }
  }

  quantized(source: QuantizedSource): Promise<QuantizedLinear> {
    return Promise.reject(new Error(`${source.kind}: no quantiser yet`));
  }

  /** Images are kept as f16; one that does not fit would turn into infinities. */
  private requireRange(image: Float32Array, linear: ValueId): void {
    if (image.every((value) => Math.abs(value) <= largestF16)) return;
    throw new GsicError({
      category: "data",
      code: "image-out-of-range",
      message: `the image W V holds values beyond f16, ${largestF16}`,
      where: linear,
      hint: "make this linear dense in graph.ts, and build that",
    });
  }

  private async eigenvectors(input: ValueId, d: number, k: number): Promise<Float32Array> {
    const where = `${this.stats.file}: ${input}`;
    try {
      const stats = this.stats.read(input, d);
      const vectors = await leadingDirections(stats, k, this.algebra);
      const rank = distinctDirections(stats, vectors);
      if (rank < k) throw rankDeficient(k, rank, where);
      return vectors;
    } catch (cause) {
      if (!(cause instanceof AlgebraError)) throw cause;
      throw new GsicError({
        category: "data",
        code: "stats-invalid",
        message: `the second moment has no ${k} leading directions: ${cause.message}`,
        where,
        hint: "collect the statistics again: gsic calibrate",
        cause,
      });
    }
  }
}

/** The k leading eigenvectors of the second moment, as orthonormal rows [k, d]. */
export function leadingDirections(
  { d, secondMoment }: InputStats,
  k: number,
  algebra: Algebra,
): Promise<Float32Array> {
  switch (secondMoment.kind) {
    case "exact":
      return algebra.eigenvectors(secondMoment.matrix, d, k);
    case "sketch":
      return algebra.nystrom(secondMoment.product, d, secondMoment.width, k, secondMoment.seed);
    default:
      return secondMoment satisfies never;
  }
}
