/** The element types of GGUF files. */

import { type BlockSize, blockSizes, type CheckpointType, type DType } from "../ir/graph.js";

/** A type that files may hold. */
export type FileType = Exclude<DType, CheckpointType>;

/** The format's number of each type that gsic has as such. */
export const typeNumbers: Readonly<Record<FileType, number>> = {
  f32: 0,
  f16: 1,
  q4_0: 2,
  q4_1: 3,
  q5_0: 6,
  q5_1: 7,
  q8_0: 8,
  q4_k: 12,
  q5_k: 13,
  q6_k: 14,
  bf16: 30,
};

/** A type of a tensor that gsic reads and writes; of iq4_nl it has blocks of q8_0, which hold the same values (iq4-nl.ts). */
export type GgufType = FileType | "iq4_nl";

/** The unit of each type that gsic reads and writes, and the format's number of it. */
export const writtenTypes: Readonly<Record<GgufType, BlockSize & { readonly number: number }>> = {
  ...(Object.fromEntries(
    (Object.keys(typeNumbers) as FileType[]).map((type) => [
      type,
      { ...blockSizes[type], number: typeNumbers[type] },
    ]),
  ) as Record<FileType, BlockSize & { readonly number: number }>),
  iq4_nl: { elements: 32, bytes: 18, number: 20 },
};

/** The types that gsic reads, by the format's number. */
export const typesByNumber: ReadonlyMap<number, GgufType> = new Map(
  (Object.keys(writtenTypes) as GgufType[]).map((type) => [writtenTypes[type].number, type]),
);

/** Types that gsic does not read, for the error message. */
export const otherTypes: ReadonlyMap<number, string> = new Map([
  [4, "Q4_2 (removed from the format)"],
  [5, "Q4_3 (removed from the format)"],
  [9, "Q8_1"],
  [10, "Q2_K"],
  [11, "Q3_K"],
  [15, "Q8_K"],
  [16, "IQ2_XXS"],
  [17, "IQ2_XS"],
  [18, "IQ3_XXS"],
  [19, "IQ1_S"],
  [21, "IQ3_S"],
  [22, "IQ2_S"],
  [23, "IQ4_XS"],
  [24, "I8"],
  [25, "I16"],
  [26, "I32"],
  [27, "I64"],
  [28, "F64"],
  [29, "IQ1_M"],
  [31, "Q4_0_4_4 (removed from the format)"],
  [32, "Q4_0_4_8 (removed from the format)"],
  [33, "Q4_0_8_8 (removed from the format)"],
  [34, "TQ1_0"],
  [35, "TQ2_0"],
  [36, "IQ4_NL_4_4 (removed from the format)"],
  [37, "IQ4_NL_4_8 (removed from the format)"],
  [38, "IQ4_NL_8_8 (removed from the format)"],
  [39, "MXFP4"],
  [40, "NVFP4"],
]);
