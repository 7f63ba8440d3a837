import type { DType } from "../ir/graph.js";
import type { InputStats } from "../ir/statistics.js";
import { toBf16, toF16 } from "../read/dequantize.js";
import { type GgufType, writtenTypes } from "../read/gguf-types.js";
import type { Algebra } from "./algebra.js";
import { momentHeader, type OutputGradients, type TierLosses } from "./tiers.js";

/** Types whose elements stand alone. */
type PlainType = Extract<DType, "f32" | "f16" | "bf16">;

/** Types whose elements share scales. */
export type BlockType = Exclude<GgufType, PlainType>;

/** What a type would lose, by linear. */
export type BlockLosses = Pick<TierLosses, "errors" | "divergences">;

/** Whether the elements of a type stand alone. */
export function isPlain(type: GgufType): type is PlainType {
  return writtenTypes[type].elements === 1;
}

/** Values in a type of single numbers. */
export function plainBytes(type: PlainType, values: Float32Array): Uint8Array {
  const stored = type === "f32" ? values : type === "f16" ? toF16(values) : toBf16(values);
  return new Uint8Array(stored.buffer as ArrayBuffer, stored.byteOffset, stored.byteLength);
}

/**
 * What is left out of C: a share of its correlations, which text of another kind does not have, and added: a share of the
 * mean of its diagonal (calibrate/README.md).
 */
const shrinkage = 0.1;
const damping = 0.05;

/**
 * Rows of a matrix [rows, d] in blocks of a type: rounded so that E||(W - Q) x||^2 is small for inputs x of these
 * statistics, each column making good what those behind it lost, then levels and scales improved by turns; without
 * statistics so that ||W - Q||^2 is. Throws `AlgebraError` where weights or second moment are not finite.
 */
export async function blockBytes(
  algebra: Algebra,
  type: BlockType,
  rows: Float32Array,
  d: number,
  stats: InputStats | null,
): Promise<Uint8Array> {
  const out = rows.length / d;
  const { elements, bytes } = writtenTypes[type];
  const header = {
    op: "blocks",
    d,
    matrices: [{ out, type }],
    feedback: true,
    damping,
    shrinkage,
    plain: stats === null,
  };
  const size = out * (d / elements) * bytes;
  if (stats === null) {
    const { arrays } = await algebra.exchangeArrays(header, [rows], [["u8", size]]);
    return arrays[0] as Uint8Array;
  }
  const { secondMoment } = stats;
  const moment = secondMoment.kind === "exact" ? secondMoment.matrix : secondMoment.product;
  const { arrays } = await algebra.exchangeArrays(
    { ...header, ...momentHeader(stats) },
    [moment, rows],
    [["u8", size]],
  );
  return arrays[0] as Uint8Array;
}

/**
 * What linears of one input, W [out, d], would lose in each of some types, rounded as by `blockBytes`; `sampled`: in every
 * eighth panel of 64 rows alone, two of a linear at least. The same input gives the same
 * losses, whatever the number of threads. Throws `AlgebraError` where weights or second moment are not finite.
 */
export async function blockLosses(
  algebra: Algebra,
  stats: InputStats,
  weights: readonly Float32Array[],
  types: readonly BlockType[],
  known: OutputGradients,
  sampled: boolean,
): Promise<BlockLosses[]> {
  const { d, secondMoment } = stats;
  const header = {
    op: "block_losses",
    d,
    matrices: weights.map(({ length }) => ({ out: length / d })),
    types,
    sampled,
    feedback: true,
    damping,
    shrinkage,
    tokens: known.inputs.length / d,
    ...momentHeader(stats),
  };
  const moment = secondMoment.kind === "exact" ? secondMoment.matrix : secondMoment.product;
  const arrays = [moment, ...weights, known.inputs, ...known.gradients];
  const { fields } = await algebra.exchangeArrays(header, arrays, []);
  const { errors, divergences } = fields as unknown as Record<string, readonly number[][]>;
  return types.map((_, index) => ({ errors: errors![index]!, divergences: divergences![index]! }));
}
