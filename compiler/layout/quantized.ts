import type { DeviceKind, QuantizedSource } from "../ir/graph.js";
import { packQuantizedPlanes } from "./quantized-planes.js";
import { packQuantizedTiles } from "./quantized-tiles.js";
import type { QuantizedLinear } from "./quantizer.js";

/** A matrix at few bits as a device's kernels read it, piece by piece. */
export function* packQuantized(
  device: DeviceKind,
  source: QuantizedSource,
  content: QuantizedLinear,
): Generator<Uint8Array> {
  if (device === "cpu") yield* packQuantizedTiles(source, content);
  else yield* packQuantizedPlanes(source, content);
}
