import type { DType } from "../ir/graph.js";

/** How a GPU reads a weight type: a lane takes `elements` of a row at a time, from one plane after another. */
export interface UnitLayout {
  /** Elements of a unit. */
  readonly elements: number;
  /** Bytes for every run of `units` units of a row, plane by plane. */
  readonly planes: readonly { readonly bytes: number; readonly units: number }[];
}

const plain = (elements: number): UnitLayout => ({ elements, planes: [{ bytes: 16, units: 1 }] });
const blocks = (...planes: readonly (readonly [bytes: number, units: number])[]): UnitLayout => ({
  elements: 32,
  planes: planes.map(([bytes, units]) => ({ bytes, units })),
});

/** The types of templates/include/gsic/gpu/weights.h. */
export const unitLayouts: Readonly<Record<DType, UnitLayout>> = {
  f32: plain(4),
  f16: plain(8),
  bf16: plain(8),
  q8_0: blocks([16, 1], [16, 1], [2, 1]),
  q4_0: blocks([16, 1], [2, 1]),
  q4_1: blocks([16, 1], [4, 1]),
  q5_0: blocks([16, 1], [4, 1], [2, 1]),
  q5_1: blocks([16, 1], [4, 1], [4, 1]),
  q4_k: blocks([16, 1], [16, 8]),
  q5_k: blocks([16, 1], [4, 1], [16, 8]),
  q6_k: blocks([16, 1], [8, 1], [2, 1], [2, 8]),
};

/** Units of a row of d elements. */
export function unitsOf(dtype: DType, d: number): number {
  return Math.ceil(d / unitLayouts[dtype].elements);
}

/** Bytes of one tile of four rows, and where its planes begin; every plane begins at a multiple of 16. */
export function tilePlanes(dtype: DType, d: number): { readonly bytes: number; readonly begins: number[] } {
  const units = unitsOf(dtype, d);
  const begins: number[] = [];
  let bytes = 0;
  for (const plane of unitLayouts[dtype].planes) {
    begins.push(bytes);
    bytes += Math.ceil((Math.ceil(units / plane.units) * 4 * plane.bytes) / 16) * 16;
  }
  return { bytes, begins };
}
