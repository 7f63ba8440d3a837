import type { MatrixRef, ValueId } from "../ir/graph.js";
import type { BitWidth, Plan } from "../ir/plan.js";
import { type GgufType, writtenTypes } from "../read/gguf-types.js";

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

/** The type of a matrix as a plan has it: as it is stored where its linears are dense, else by their bits. */
export function plannedType(plan: Plan, linears: readonly ValueId[], { dtype, d }: MatrixRef): GgufType {
  const bits = linears.flatMap((id) => plan.linears.get(id)?.form.tier?.quantizer.bits ?? []);
  return bits.length < linears.length || bits.length === 0
    ? dtype
    : typeFor(typeOfBits[Math.max(...bits) as BitWidth], d);
}
