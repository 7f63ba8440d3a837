import type { DeviceKind, QuantizedSource } from "../ir.js";
import type { QuantizedLinear } from "../quantizer.js";

/** A matrix at few bits as a device's kernels read it, piece by piece. */
// biome-ignore lint/correctness/useYield: to come
export function* packQuantized(
  device: DeviceKind,
  source: QuantizedSource,
  _content: QuantizedLinear,
): Generator<Uint8Array> {
  throw new Error(`no packing of ${source.kind} for ${device}`);
}
