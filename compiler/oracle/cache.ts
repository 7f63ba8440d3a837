import type { CacheType } from "../ir/graph.js";
import { asHalf } from "../read/dequantize.js";

/** Vectors of `width` numbers as a KV cache of that type gives them back; templates/include/gsic/attention.h rounds so, too. */
export function asCached(type: CacheType, values: Float64Array, width: number): Float64Array {
  switch (type) {
    case "f32":
      return values;
    case "f16":
      return Float64Array.from(
        asHalf(Float32Array.from(values, (x) => Math.max(-65504, Math.min(65504, x)))),
      );
    case "int8":
      return inEightBits(values, width);
    default:
      return type satisfies never;
  }
}

/** x ~ scale q with |q| <= 127, a scale for each vector. */
function inEightBits(values: Float64Array, width: number): Float64Array {
  const rounded = new Float64Array(values.length);
  for (let begin = 0; begin < values.length; begin += width) {
    const vector = values.subarray(begin, begin + width);
    const most = vector.reduce((largest, x) => Math.max(largest, Math.abs(x)), 0);
    const scale = most / 127;
    vector.forEach((x, i) => {
      rounded[begin + i] = scale === 0 ? 0 : scale * Math.round(x / scale);
    });
  }
  return rounded;
}
