/** The types of GGUF that matrices may have, with what they take and lose; and the choice among them. */
import { blockSizes, type MatrixRef, type RoundedType, type ValueId } from "../ir/graph.js";
import { writtenTypes } from "../read/gguf-types.js";
import { GsicError } from "../support/errors.js";
import { chooseOptions, undominated } from "./knapsack.js";

/** Types of blocks; the first is what all rows are rounded to, and the others some (Factors.blockLosses). */
const blockTypes = ["q4_0", "iq4_nl", "q4_k", "q4_1", "q5_k", "q5_0", "q5_1", "q6_k", "q8_0"] as const;

/** A type whose weights share scales, which is offered. */
export type OfferedType = (typeof blockTypes)[number];

/** A matrix of a GGUF file, which has one type: rows of the model's tensors. */
export interface FileMatrix {
  readonly name: string;
  readonly parts: readonly MatrixRef[];
  /** Linears that multiply by it; none: an embedding alone. */
  readonly linears: readonly ValueId[];
}

/** The file that a plan of types is for. */
export interface ModelFile {
  readonly matrices: readonly FileMatrix[];
  /** What its other tensors take. */
  readonly otherBytes: number;
}

/** A type for a matrix. */
export interface TypeOption {
  /** Null: as it is stored. */
  readonly type: RoundedType | null;
  readonly bytes: number;
  /** The KL of the model's output that it is predicted to cause, in nats per token. */
  readonly loss: number;
}

/** What is to be decided for a matrix. */
export interface TypeDecision {
  readonly matrix: FileMatrix;
  /** As it is stored first. */
  readonly options: readonly TypeOption[];
}

/** The types of blocks that rows of `d` elements are whole blocks of. */
export function offeredTypes(d: number): OfferedType[] {
  return blockTypes.filter((type) => d % writtenTypes[type].elements === 0);
}

/** f16 loses less than this share of what Q8_0 does: 11 bits of each weight, instead of 8 of the largest of 32. */
const halfShare = 1 / 64;

/** The types of a matrix that take less than it is stored in; `lossOf` says what one loses. */
export function typeOptions(matrix: FileMatrix, lossOf: (type: OfferedType) => number): TypeOption[] {
  const { d, dtype } = matrix.parts[0]!;
  const weights = weightsOf(matrix);
  const stored: TypeOption = { type: null, bytes: bytesIn(blockSizes[dtype], weights), loss: 0 };
  const types = offeredTypes(d);
  const blocks = types.map((type) => ({
    type,
    bytes: bytesIn(writtenTypes[type], weights),
    loss: lossOf(type),
  }));
  const wide = blocks.find(({ type }) => type === "q8_0");
  const halves = { type: "f16" as const, bytes: 2 * weights, loss: halfShare * (wide?.loss ?? 0) };
  const offered = [...(dtype === "f32" ? [halves] : []), ...blocks];
  return [stored, ...offered.filter(({ bytes }) => bytes < stored.bytes)];
}

/** Elements of a matrix. */
export function weightsOf({ parts }: FileMatrix): number {
  return parts.reduce((sum, { out, d }) => sum + out * d, 0);
}

function bytesIn(
  { elements, bytes }: { readonly elements: number; readonly bytes: number },
  weights: number,
) {
  return (weights / elements) * bytes;
}

/** The options of least bytes whose predicted KL is within a budget. */
export function leastBytes(decisions: readonly TypeDecision[], maxKl: number): readonly TypeOption[] {
  const options = decisions.map(({ options: all }) =>
    undominated(all.map((one) => ({ ...one, cost: one.bytes }))),
  );
  // What is stored loses nothing, so that there is a choice.
  const indices = chooseOptions(options, maxKl)!;
  return options.map((all, index) => all[indices[index]!]!);
}

/** The options of least predicted KL whose bytes are within a budget; null where the smallest take more. */
export function leastLoss(
  decisions: readonly TypeDecision[],
  maxBytes: number,
): readonly TypeOption[] | null {
  const made = decisions.map(({ options }) => {
    const least = Math.min(...options.map(({ bytes }) => bytes));
    // Only what is above the least is weighed, so that the knapsack's steps are small.
    return undominated(options.map((option) => ({ option, cost: option.loss, loss: option.bytes - least })));
  });
  const budget = maxBytes - leastBytesOf(decisions);
  // Rows are whole blocks, so that bytes are multiples of much.
  const multiple = made.flat().reduce((found, { loss }) => commonDivisor(found, loss), 0);
  const indices = budget < 0 ? null : chooseOptions(made, budget, multiple === 0 ? undefined : multiple);
  return indices && made.map((all, index) => all[indices[index]!]!.option);
}

/** The greatest common divisor of two whole numbers; 0 and a number: that number. */
function commonDivisor(a: number, b: number): number {
  return b === 0 ? a : commonDivisor(b, a % b);
}

/** What all matrices take in their smallest types. */
export function leastBytesOf(decisions: readonly TypeDecision[]): number {
  return decisions.reduce((sum, { options }) => sum + Math.min(...options.map(({ bytes }) => bytes)), 0);
}

/** Bytes that matrices may take where a file's tensors may take so much. Throws `size-too-small` (category usage). */
export function matrixBytesWithin(
  size: { readonly bytes: number } | { readonly bits: number },
  decisions: readonly TypeDecision[],
  otherBytes: number,
  where: string,
): number {
  const weights = decisions.reduce((sum, { matrix }) => sum + weightsOf(matrix), 0);
  const [key, most] =
    "bits" in size ? ["bits", Math.floor((size.bits * weights) / 8)] : ["max_bytes", size.bytes - otherBytes];
  const least = leastBytesOf(decisions);
  if (most >= least) return most;
  const needed = "bits" in size ? Math.ceil((800 * least) / weights) / 100 : least + otherBytes;
  throw new GsicError({
    category: "usage",
    code: "size-too-small",
    message: `no types of llama.cpp that gsic writes are so small: the smallest need ${key} = ${needed}`,
    where: `${where}: quality.${key}`,
    hint: `raise ${key}, or choose a smaller model`,
  });
}
