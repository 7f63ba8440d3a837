import { GsicError } from "../errors.js";
import { linearById } from "../graph.js";
import type { InputStats, Plan, ValueId } from "../ir.js";
import type { FactorSource } from "../pack/weights.js";
import { dequantize, toF16 } from "../read/dequantize.js";
import type { Weights } from "../read/weights.js";
import type { Algebra } from "./algebra.js";
import type { StatsFile } from "./stats-file.js";

const largestF16 = 65504;

/** Elements of f32 weights that are multiplied at a time. */
const chunkFloats = 1 << 24;

/**
 * Makes the factors of gated linears: V, the leading k eigenvectors of C = E[x x^T], and M = W V. V is rounded to f16
 * before M is made, so that M belongs to the V that the gate uses. One basis is held at a time.
 */
export class Factors implements FactorSource {
  private current: { readonly input: ValueId; readonly basis: Float32Array } | undefined;

  constructor(
    private readonly plan: Plan,
    private readonly weights: Weights,
    private readonly stats: StatsFile,
    private readonly algebra: Algebra,
  ) {}

  /** V^T, [k, d], rounded to f16. */
  async basis(input: ValueId): Promise<Float32Array> {
    if (this.current?.input === input) return this.current.basis;
    const group = this.plan.groups.find((candidate) => candidate.input === input)!;
    const { k } = group.gate!;
    const { d } = linearById(this.plan.graph, group.linears[0]!).weight;
    const stats = this.stats.read(input, d);
    this.requireRank(stats, k, input);
    const vectors = await this.eigenvectors(stats, k);
    const rounded = dequantize("f16", new Uint8Array(toF16(vectors).buffer as ArrayBuffer), vectors.length);
    this.current = { input, basis: rounded };
    return rounded;
  }

  /** M = W V, [out, k]. */
  async image(linear: ValueId): Promise<Float32Array> {
    const node = linearById(this.plan.graph, linear);
    const { out, d } = node.weight;
    const basis = await this.basis(node.input);
    const k = basis.length / d;
    const image = new Float32Array(out * k);
    const step = Math.max(1, Math.floor(chunkFloats / d));
    for (let row = 0; row < out; row += step) {
      const rows = Math.min(step, out - row);
      const w = this.weights.readRows(node.weight, row, rows);
      image.set(await this.algebra.multiplyTransposed(w, basis, rows, k, d), row * k);
    }
    this.requireRange(image, linear);
    return image;
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

  private eigenvectors(stats: InputStats, k: number): Promise<Float32Array> {
    switch (stats.secondMoment.kind) {
      case "exact":
        return this.algebra.eigenvectors(stats.secondMoment.matrix, stats.d, k);
      case "sketch": {
        const { omega, product, width } = stats.secondMoment;
        return this.algebra.nystrom(omega, product, stats.d, width, k);
      }
      default:
        return stats.secondMoment satisfies never;
    }
  }

  private requireRank(stats: InputStats, k: number, input: ValueId): void {
    const width = stats.secondMoment.kind === "sketch" ? stats.secondMoment.width : stats.d;
    if (stats.count >= k && k <= width) return;
    const few = stats.count < k;
    throw new GsicError({
      category: "data",
      code: "stats-too-few",
      message: few
        ? `k = ${k} directions cannot come from ${stats.count} tokens`
        : `k = ${k} directions cannot come from a sketch of ${width}`,
      where: `${this.stats.file}: ${input}`,
      hint: few ? "raise calibration.tokens, or lower plan.k" : "lower plan.k",
    });
  }
}
