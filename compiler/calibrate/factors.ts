import { isDenseForm, sharing } from "../ir/forms.js";
import type { ValueId } from "../ir/graph.js";
import type { InputGroup, Plan } from "../ir/plan.js";
import type { InputStats } from "../ir/statistics.js";
import type { QuantizedSource, TierRecipe } from "../ir/steps.js";
import { linearById } from "../ir/walk.js";
import type { QuantizedLinear } from "../layout/quantizer.js";
import { maxRunRows } from "../layout/tiles.js";
import type { FactorSource } from "../pack/weights.js";
import { asHalf } from "../read/dequantize.js";
import type { Weights } from "../read/weights.js";
import { GsicError } from "../support/errors.js";
import { type Algebra, AlgebraError, type SubspaceSurvey, type TierSurvey } from "./algebra.js";
import { type BlockLosses, type BlockType, blockLosses } from "./blocks.js";
import { distinctDirections } from "./rank.js";
import type { StatsFile } from "./stats-file.js";
import {
  defaultTiers,
  type OutputGradients,
  quantizeGroup,
  type TierGroup,
  type TierLosses,
  type TierSettings,
  type TierVariant,
  tierLosses,
} from "./tiers.js";

const largestF16 = 65504;

/** Of the random signs that an error's projections are made with. */
const projectionSeed = 1;

/** Elements of f32 weights that are multiplied at a time. */
const chunkFloats = 1 << 22;

/** What a plan needs of the statistics of each rewritten input: k directions of its second moment, at least 1. */
export function neededRanks(plan: Plan): { input: ValueId; d: number; k: number }[] {
  return plan.groups.flatMap((group) => {
    const { form } = plan.linears.get(group.linears[0]!)!;
    if (isDenseForm(form)) return [];
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
  private tiered: { readonly key: string; readonly group: TierGroup } | undefined;
  private current: { readonly input: ValueId; readonly k: number; readonly basis: Float32Array } | undefined;

  constructor(
    private readonly plan: Plan,
    private readonly weights: Weights,
    private readonly stats: StatsFile,
    private readonly algebra: Algebra,
    private readonly settings: TierSettings = defaultTiers,
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
    const rounded = asHalf(vectors);
    this.current = { input, k, basis: rounded };
    return rounded;
  }

  /** M = W V, [out, k], in runs of rows. */
  async *image(linear: ValueId, k: number): AsyncGenerator<Float32Array> {
    const node = linearById(this.plan.graph, linear);
    const { out, d } = node.weight;
    const basis = await this.basis(node.input, k);
    const step = maxRunRows * Math.max(1, Math.floor(chunkFloats / d / maxRunRows));
    for (let row = 0; row < out; row += step) {
      const rows = Math.min(step, out - row);
      const w = this.weights.readRows(node.weight, row, rows);
      const image = await this.algebra.multiplyTransposed(w, basis, rows, k, d);
      this.requireRange(image, linear);
      yield image;
    }
  }

  async quantized(source: QuantizedSource): Promise<QuantizedLinear> {
    const { recipe } = source;
    const group = await this.tiers(recipe);
    switch (source.kind) {
      case "quantized": {
        const { quantized, lowRank } = group.matrices[recipe.linears.indexOf(source.linear)]!;
        return { matrix: quantized, lowRank };
      }
      case "correction":
        return { matrix: group.b!, lowRank: null };
      case "projections":
        return { matrix: group.projections!, lowRank: null };
      default:
        return source satisfies never;
    }
  }

  /** What each variant would lose in the linears of one input. */
  async tierLosses(
    group: InputGroup,
    variants: readonly TierVariant[],
    known: OutputGradients,
  ): Promise<readonly TierLosses[]> {
    const { weights, stats } = this.stacked(group);
    return this.answer(group.input, () =>
      tierLosses(this.algebra, stats, weights, variants, this.settings, known),
    );
  }

  /**
   * What the linears of one input would lose in each of some types of GGUF. Of the first all rows are computed; the others
   * lose as much, times the ratio of both errors in some rows.
   */
  async blockLosses(
    group: InputGroup,
    types: readonly BlockType[],
    known: OutputGradients,
  ): Promise<readonly BlockLosses[]> {
    const { weights, stats } = this.stacked(group);
    const ask = (some: readonly BlockType[], sampled: boolean) =>
      this.answer(group.input, () => blockLosses(this.algebra, stats, weights, some, known, sampled));
    const [whole] = types.length === 0 ? [] : await ask(types.slice(0, 1), false);
    if (whole === undefined || types.length === 1) return whole === undefined ? [] : [whole];
    const [base, ...others] = await ask(types, true);
    const rest = others.map(({ errors }) => {
      const ratios = errors.map((error, index) =>
        base!.errors[index] === 0 ? 1 : error / base!.errors[index]!,
      );
      return {
        errors: whole.errors.map((error, index) => error * ratios[index]!),
        divergences: whole.divergences.map((one, index) => one * ratios[index]!),
      };
    });
    return [whole, ...rest];
  }

  private stacked({ input, linears }: InputGroup) {
    const nodes = linears.map((id) => linearById(this.plan.graph, id));
    const weights = nodes.map(({ weight }) => this.weights.readRows(weight, 0, weight.out));
    return { weights, stats: this.stats.read(input, nodes[0]!.weight.d) };
  }

  /** What a recipe's error, and its projections, do to inputs X [n, d], token by token. */
  async surveyTier(recipe: TierRecipe, samples: Float32Array): Promise<TierSurvey> {
    const { error, predicted, norm } = (await this.quantize(recipe, samples)).samples!;
    return { errors: error, projected: predicted, squaredNorms: norm };
  }

  /** What leaving out all but k directions does to inputs X [n, d] of a linear, token by token. */
  async surveySubspaces(
    linear: ValueId,
    samples: Float32Array,
    ks: readonly number[],
  ): Promise<SubspaceSurvey> {
    const { input, weight } = linearById(this.plan.graph, linear);
    const basis = await this.basis(input, ks.at(-1)!);
    const w = this.weights.readRows(weight, 0, weight.out);
    return this.algebra.surveySubspaces(samples, basis, w, weight.d, ks);
  }

  /** The same without a linear: its errors are 0. */
  async surveyResiduals(
    input: ValueId,
    samples: Float32Array,
    ks: readonly number[],
  ): Promise<SubspaceSurvey> {
    const basis = await this.basis(input, ks.at(-1)!);
    const d = basis.length / ks.at(-1)!;
    return this.algebra.surveySubspaces(samples, basis, new Float32Array(d), d, ks);
  }

  /** Quantises the linears of one input; the last result is kept. */
  private async tiers(recipe: TierRecipe): Promise<TierGroup> {
    const key = JSON.stringify(recipe);
    if (this.tiered?.key === key) return this.tiered.group;
    this.tiered = undefined;
    const group = await this.quantize(recipe);
    this.tiered = { key, group };
    return group;
  }

  private quantize(recipe: TierRecipe, samples?: Float32Array): Promise<TierGroup> {
    const { input, linears, quantizers, rank, projections } = recipe;
    const nodes = linears.map((id) => linearById(this.plan.graph, id));
    const inputs = nodes.map(({ weight }, index) => ({
      weights: this.weights.readRows(weight, 0, weight.out),
      out: weight.out,
      quantizer: quantizers[index]!,
    }));
    const stats = this.stats.read(input, nodes[0]!.weight.d);
    const sampled = samples === undefined ? {} : { samples };
    const gate = projections === 0 ? undefined : { projections, seed: projectionSeed, ...sampled };
    const settings = { ...this.settings, k: rank };
    return this.answer(input, () => quantizeGroup(this.algebra, stats, inputs, settings, gate, false));
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
    const stats = this.stats.read(input, d);
    const vectors = await this.answer(input, () => leadingDirections(stats, k, this.algebra));
    const rank = distinctDirections(stats, vectors);
    if (rank < k) throw rankDeficient(k, rank, `${this.stats.file}: ${input}`);
    return vectors;
  }

  /** What the algebra makes of the statistics of an input; it is they that are wrong if it cannot. */
  private async answer<T>(input: ValueId, ask: () => Promise<T>): Promise<T> {
    try {
      return await ask();
    } catch (cause) {
      if (!(cause instanceof AlgebraError)) throw cause;
      throw new GsicError({
        category: "data",
        code: "stats-invalid",
        message: `nothing can be made of the second moment: ${cause.message}`,
        where: `${this.stats.file}: ${input}`,
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
