import type { DeviceKind, QuantizedSource, Quantizer } from "../ir/graph.js";
import { quantizedTile as planesTile } from "./quantized-plane-sizes.js";

/** Rows of a tile of a matrix at few bits, and columns of a block; templates/include/gsic/quantized.h. */
export const quantizedTile = { rows: 16, blockColumns: 32 } as const;

/** Byte offsets within a tile of sixteen rows; templates/include/gsic/quantized.h describes what lies there. */
export function quantizedTileLayout(d: number, { bits, group, symmetric }: Quantizer, rank: number) {
  const { rows, blockColumns } = quantizedTile;
  const groups = Math.ceil(d / group);
  const blocks = Math.ceil(d / blockColumns);
  const groupBytes = Math.ceil((groups * rows) / 64) * 64;
  const scales = rows * 4;
  const zeros = scales + groupBytes;
  const data = zeros + (symmetric ? 0 : groupBytes);
  const blockBytes = (rows * blockColumns * bits) / 8;
  const factor = data + blocks * blockBytes;
  const bytes = factor + (rank === 0 ? 0 : rows * 4 + rows * rank);
  return { scales, zeros, data, factor, bytes, groups, blocks, blockBytes };
}

/** Bytes of a matrix at few bits, with its low-rank factor, as a device's kernels read it. */
export function quantizedBytes(
  device: DeviceKind,
  { out, d, quantizer, rank }: Pick<QuantizedSource, "out" | "d" | "quantizer" | "rank">,
): number {
  if (device !== "cpu") return Math.ceil(out / 4) * planesTile({ d, quantizer, rank }).bytes;
  return Math.ceil(out / quantizedTile.rows) * quantizedTileLayout(d, quantizer, rank).bytes;
}
