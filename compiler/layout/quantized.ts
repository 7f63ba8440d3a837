import type { DeviceKind } from "../ir/program.js";
import type { QuantizedSource } from "../ir/steps.js";
import { packQuantizedPlanes, quantizedTile as planesTile } from "./quantized-planes.js";
import { packQuantizedTiles, quantizedTile, quantizedTileLayout } from "./quantized-tiles.js";
import type { QuantizedLinear } from "./quantizer.js";

/** Bytes of a matrix at few bits, with its low-rank factor, as a device's kernels read it. */
export function quantizedBytes(
  device: DeviceKind,
  { out, d, quantizer, rank }: Pick<QuantizedSource, "out" | "d" | "quantizer" | "rank">,
): number {
  if (device !== "cpu") return Math.ceil(out / 4) * planesTile({ d, quantizer, rank }).bytes;
  return Math.ceil(out / quantizedTile.rows) * quantizedTileLayout(d, quantizer, rank).bytes;
}

/** A matrix at few bits as a device's kernels read it, piece by piece. */
export function* packQuantized(
  device: DeviceKind,
  source: QuantizedSource,
  content: QuantizedLinear,
): Generator<Uint8Array> {
  if (device === "cpu") yield* packQuantizedTiles(source, content);
  else yield* packQuantizedPlanes(source, content);
}
