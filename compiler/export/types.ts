import { type DType, isCheckpointType, type MatrixRef, type RoundedType } from "../ir/graph.js";
import type { BitWidth, Plan } from "../ir/plan.js";
import { roundedMatrices } from "../ir/rounded.js";
import { type GgufType, writtenTypes } from "../read/gguf-types.js";
import type { MatrixToExport } from "./tensors.js";

/** The types that `--type` takes, the largest first. */
export const exportTypes = [
  "f32",
  "bf16",
  "f16",
  "q8_0",
  "q6_k",
  "q5_k",
  "q5_1",
  "q5_0",
  "q4_k",
  "q4_1",
  "q4_0",
  "iq4_nl",
] as const satisfies readonly GgufType[];

/** What stands in for types of 256 elements where rows are no multiple of that: the next larger, as llama.cpp has it. */
const narrower: Readonly<Partial<Record<GgufType, GgufType>>> = { q6_k: "q8_0", q5_k: "q5_1", q4_k: "q5_0" };

/** A type in which rows of `d` elements can be kept: the type itself, or the next one of blocks that fit. */
export function typeFor(type: GgufType, d: number): GgufType {
  const fits = (one: GgufType) => d % writtenTypes[one].elements === 0;
  if (fits(type)) return type;
  const other = narrower[type];
  return other !== undefined && fits(other) ? other : "f16";
}

/** The type that has about so many bits; the plan's own integers with fewer have no counterpart. */
const typeOfBits: Readonly<Record<BitWidth, GgufType>> = {
  3: "q4_k",
  4: "q4_k",
  5: "q5_k",
  6: "q6_k",
  8: "q8_0",
};

/** The type itself; f32, which holds them exactly, for integers of quantised checkpoints. */
function fileType(dtype: DType): GgufType {
  return isCheckpointType(dtype) ? "f32" : dtype;
}

/** The type of a matrix as a plan has it: what it is rounded to, or as it is stored where its linears are dense, else by their bits. */
export function plannedType(plan: Plan, { linears, parts }: MatrixToExport): GgufType {
  const { dtype, d } = parts[0]!;
  const rounded = roundedTypeOf(plan, parts);
  if (rounded !== undefined) return rounded;
  const bits = linears.flatMap((id) => plan.linears.get(id)?.form.tier?.quantizer.bits ?? []);
  return bits.length < linears.length || bits.length === 0
    ? fileType(dtype)
    : typeFor(typeOfBits[Math.max(...bits) as BitWidth], d);
}

/** What the plan rounds the tensors to that a matrix is made from; the first that it names. */
function roundedTypeOf({ graph }: Plan, parts: readonly MatrixRef[]): RoundedType | undefined {
  const found = roundedMatrices(graph).find(({ matrix: { rounded } }) =>
    parts.some(({ tensor }) => tensor === rounded!.from.tensor),
  );
  return found?.matrix.rounded?.type;
}
