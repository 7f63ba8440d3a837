import type { QuantizedSource, Quantizer } from "../ir/graph.js";

/** Elements of a unit of a matrix at few bits, and of one of its low-rank factor; as in gpu/quantized.h and gpu/weights.h. */
export const unitElements = 32;
export const lowRankElements = 16;

/** How many bits of an integer lie in its two planes; 8 bits lie in one plane for each half of a unit. */
export const planeBits: Readonly<Record<Quantizer["bits"], readonly [low: number, high: number]>> = {
  3: [2, 1],
  4: [4, 0],
  5: [4, 1],
  6: [4, 2],
  8: [4, 4],
};

/** Where the parts of a tile of four rows begin, in bytes, and what it takes as a whole; see templates/include/gsic/gpu/quantized.h. */
export interface QuantizedTile {
  readonly units: number;
  readonly low: number;
  readonly high: number;
  readonly scales: number;
  readonly rowScales: number;
  readonly lowRankScales: number;
  readonly lowRank: number;
  readonly bytes: number;
}

/** The layout of one tile. */
export function quantizedTile({
  d,
  quantizer,
  rank,
}: Pick<QuantizedSource, "d" | "quantizer" | "rank">): QuantizedTile {
  const units = Math.ceil(d / unitElements);
  const [lowBits, highBits] = planeBits[quantizer.bits];
  const plane = (bytes: number, shared = 1) => Math.ceil((Math.ceil(units / shared) * 4 * bytes) / 16) * 16;
  const high = plane((lowBits * unitElements) / 8);
  const scales = high + plane((highBits * unitElements) / 8);
  const rowScales = scales + plane(quantizer.symmetric ? 1 : 2, quantizer.group / unitElements);
  const lowRankScales = rowScales + 16;
  const lowRank = lowRankScales + (rank === 0 ? 0 : 16);
  const bytes = lowRank + 4 * lowRankElements * Math.ceil(rank / lowRankElements);
  return { units, low: 0, high, scales, rowScales, lowRankScales, lowRank, bytes };
}
