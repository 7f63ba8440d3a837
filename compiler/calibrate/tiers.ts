import { factorQuantizer } from "../ir/forms.js";
import type { Quantizer } from "../ir/plan.js";
import type { InputStats } from "../ir/statistics.js";
import { groupsOf, type LowRank, type ShapedMatrix } from "../layout/quantizer.js";
import type { Algebra, AlgebraAnswer, ArrayKind, ArrayOf } from "./algebra.js";

/** How the weights of linears that read the same input are quantised. */
export interface TierSettings {
  /** Rank of the correction that they share, a multiple of 4; 0: none. */
  readonly k: number;
  /** Looks for the scale, and zero, of each group that lose least; else the group's whole range. */
  readonly search: boolean;
  /** Passes the errors of rounded columns on to those still to be rounded. */
  readonly feedback: boolean;
  /** The share of the mean of C's diagonal that is added to C for feedback. */
  readonly damping: number;
  /** How many times the weights are quantised, and the correction fitted to them. */
  readonly rounds: number;
}

/** What is best at equal bytes: compiler/calibrate/README.md has the figures. */
export const defaultTiers: TierSettings = { k: 8, search: true, feedback: true, damping: 0.1, rounds: 1 };

/** Plain round to nearest, the baseline. */
export const roundToNearest: TierSettings = { k: 0, search: false, feedback: false, damping: 0, rounds: 1 };

/** W [out, d] of one linear, and what it becomes. */
export interface TierInput {
  readonly weights: Float32Array;
  readonly out: number;
  readonly quantizer: Quantizer;
}

/** One linear: y = Q x + A (B^T x), with the B of its group. */
export interface TierMatrix {
  readonly quantized: ShapedMatrix;
  readonly lowRank: LowRank | null;
  /** E||(W - Q - A B^T) x||^2, and E||W x||^2; NaN where nobody asked. */
  readonly error: number;
  readonly energy: number;
}

/** Linears that read the same input. */
export interface TierGroup {
  readonly matrices: readonly TierMatrix[];
  /** B^T [k, d]; null where k = 0. */
  readonly b: ShapedMatrix | null;
  /** S = R E [p, d], E = W - Q - A B^T of all matrices, stacked, R of random signs / sqrt(p); null where not asked for. */
  readonly projections: ShapedMatrix | null;
  /** Of each sample x, in its order; null where not asked for. */
  readonly samples: SampleErrors | null;
}

/** ||E x||^2, ||S x||^2 (zero without projections) and ||x||^2 of each sample. */
interface SampleErrors {
  readonly error: Float32Array;
  readonly predicted: Float32Array;
  readonly norm: Float32Array;
}

/** What the gate of an exact tier needs. */
interface GateRequest {
  /** Rows p of S, and the seed of R. */
  readonly projections: number;
  readonly seed: number;
  /** X [n, d]. */
  readonly samples?: Float32Array;
}

/**
 * Quantises linears that read the same input, and fits the low-rank correction that is best under its second moment.
 * The same input gives the same bytes, whatever the number of threads. Without `losses` it is not computed what is lost. Throws `AlgebraError` where weights or second
 * moment are not finite, or the latter is not positive semidefinite.
 */
export async function quantizeGroup(
  algebra: Algebra,
  stats: InputStats,
  inputs: readonly TierInput[],
  settings: TierSettings,
  gate?: GateRequest,
  losses = true,
): Promise<TierGroup> {
  const { d } = stats;
  const samples = (gate?.samples?.length ?? 0) / d;
  const projections = gate?.projections ?? 0;
  const header = {
    op: "quantize",
    d,
    matrices: inputs.map(({ out, quantizer: { bits, group, symmetric } }) => ({
      out,
      bits,
      group,
      symmetric,
    })),
    ...settings,
    losses,
    projections,
    projection_seed: gate?.seed ?? 0,
    samples,
    ...momentHeader(stats),
  };
  const { secondMoment } = stats;
  const moment = secondMoment.kind === "exact" ? secondMoment.matrix : secondMoment.product;
  const arrays = [moment, ...inputs.map(({ weights }) => weights), ...(gate?.samples ? [gate.samples] : [])];
  const kinds: [ArrayKind, number][] = inputs.flatMap(({ out, quantizer }) => [
    ...matrixKinds(quantizer, out, d),
    ...lowRankKinds(out, settings.k),
  ]);
  if (settings.k > 0) kinds.push(...matrixKinds(factorQuantizer, settings.k, d));
  if (projections > 0) kinds.push(...matrixKinds(factorQuantizer, projections, d));
  kinds.push(["f32", 3 * samples]);
  const answer = await algebra.exchangeArrays(header, arrays, kinds);
  const reader = new Reader(answer.arrays, d);
  const { errors = [], energies = [] } = answer.fields as unknown as Partial<Losses>;
  const matrices = inputs.map(({ out, quantizer }, index) => ({
    quantized: reader.matrix(quantizer, out),
    lowRank: settings.k === 0 ? null : reader.lowRank(),
    error: errors[index] ?? Number.NaN,
    energy: energies[index] ?? Number.NaN,
  }));
  const b = settings.k === 0 ? null : reader.matrix(factorQuantizer, settings.k);
  const s = projections === 0 ? null : reader.matrix(factorQuantizer, projections);
  return { matrices, b, projections: s, samples: reader.samples(samples) };
}

/** One way to quantise all linears of an input. */
export interface TierVariant {
  readonly quantizer: Quantizer;
  readonly rank: number;
  /** True: the errors are those of some rows of each linear, always the same, and nothing else is computed. */
  readonly sampled: boolean;
}

/** What is known of the linears of an input at some tokens: X [tokens, d], and by linear G [tokens, out]. */
export interface OutputGradients {
  readonly inputs: Float32Array;
  /** An output that is wrong by y at a token costs (G y)^2 / 2 of KL. */
  readonly gradients: readonly Float32Array[];
}

/** What a variant would lose, by linear. */
export interface TierLosses {
  /** E||(W - Q - A B^T) x||^2. */
  readonly errors: readonly number[];
  /** The KL that this is predicted to cause, in nats per token; errors of outputs and tokens count as independent. */
  readonly divergences: readonly number[];
  /** ||E x||^2 of all linears together, by token. */
  readonly tokens: Float32Array;
}

/** What variants of a group would lose, without their matrices: what they share is computed once. */
export async function tierLosses(
  algebra: Algebra,
  stats: InputStats,
  weights: readonly Float32Array[],
  variants: readonly TierVariant[],
  settings: TierSettings,
  known: OutputGradients,
): Promise<TierLosses[]> {
  const { d, secondMoment } = stats;
  const tokens = known.inputs.length / d;
  const shape = ({ bits, group, symmetric }: Quantizer) => ({ bits, group, symmetric });
  const header = {
    op: "tier_losses",
    d,
    matrices: weights.map(({ length }) => ({ out: length / d, ...shape(variants[0]!.quantizer) })),
    variants: variants.map(({ quantizer, rank, sampled }) => ({ ...shape(quantizer), k: rank, sampled })),
    ...settings,
    k: 0,
    tokens,
    ...momentHeader(stats),
  };
  const moment = secondMoment.kind === "exact" ? secondMoment.matrix : secondMoment.product;
  const arrays = [moment, ...weights, known.inputs, ...known.gradients];
  const kinds = variants.map(() => ["f32", tokens] as const);
  const answer = await algebra.exchangeArrays(header, arrays, kinds);
  const { errors, divergences } = answer.fields as unknown as Record<string, readonly number[][]>;
  return variants.map((_, index) => ({
    errors: errors![index]!,
    divergences: divergences![index]!,
    tokens: answer.arrays[index]! as Float32Array,
  }));
}

interface Losses {
  readonly errors: readonly number[];
  readonly energies: readonly number[];
}

/** What the header of a request says of a second moment. */
export function momentHeader({
  secondMoment,
  meanSquaredNorm,
}: InputStats): Readonly<Record<string, number>> {
  switch (secondMoment.kind) {
    case "exact":
      return {};
    case "sketch":
      return { l: secondMoment.width, seed: secondMoment.seed, mean_squared_norm: meanSquaredNorm };
    default:
      return secondMoment satisfies never;
  }
}

function matrixKinds(quantizer: Quantizer, out: number, d: number): [ArrayKind, number][] {
  const groups = out * groupsOf(quantizer, d);
  return [
    ["u8", out * d],
    ["i8", groups],
    ["u8", quantizer.symmetric ? 0 : groups],
    ["f32", out],
  ];
}

function lowRankKinds(out: number, k: number): [ArrayKind, number][] {
  return k === 0
    ? []
    : [
        ["i8", out * k],
        ["f32", out],
      ];
}

/** Takes the arrays of an answer in their order. */
class Reader {
  private next = 0;

  constructor(
    private readonly arrays: AlgebraAnswer["arrays"],
    private readonly d: number,
  ) {}

  matrix(quantizer: Quantizer, out: number): ShapedMatrix {
    const [q, scales] = [this.take("u8"), this.take("i8")];
    const [zeros, rowScales] = [this.take("u8"), this.take("f32")];
    return { quantizer, out, d: this.d, q, scales, zeros: quantizer.symmetric ? null : zeros, rowScales };
  }

  lowRank(): LowRank {
    return { a: this.take("i8"), scales: this.take("f32") };
  }

  samples(n: number): SampleErrors | null {
    const values = this.take("f32");
    const part = (index: number) => values.subarray(index * n, (index + 1) * n);
    return n === 0 ? null : { error: part(0), predicted: part(1), norm: part(2) };
  }

  /** The protocol says which kind comes next; `exchangeArrays` was told the same. */
  private take<K extends ArrayKind>(_kind: K): ArrayOf[K] {
    return this.arrays[this.next++]! as ArrayOf[K];
  }
}
