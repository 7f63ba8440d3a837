import type { DeviceKind, QuantizedSource } from "../ir.js";
import { quantizedTile } from "./quantized-planes.js";

/** Bytes of a matrix at few bits, with its low-rank factor, as a device's kernels read it. */
export function quantizedBytes(
  device: DeviceKind,
  { out, d, quantizer, rank }: Pick<QuantizedSource, "out" | "d" | "quantizer" | "rank">,
): number {
  if (device !== "cpu") return Math.ceil(out / 4) * quantizedTile({ d, quantizer, rank }).bytes;
  const groups = Math.ceil(d / quantizer.group);
  const scales = Math.ceil((16 * groups) / 64) * 64 * (quantizer.symmetric ? 1 : 2);
  const factor = rank === 0 ? 0 : 64 + 16 * rank;
  return Math.ceil(out / 16) * (64 + scales + groups * 2 * quantizer.bits * quantizer.group + factor);
}
