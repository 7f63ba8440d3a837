import { blockSizes } from "../ir.js";
import { dequantize } from "./dequantize.js";
import { badInput } from "./file.js";
import type { Weights } from "./weights.js";

/** Elements that are looked at together. */
const chunkElements = 1 << 20;

/**
 * Reads every weight once. Throws `weights-not-finite` where a tensor holds NaN or infinities (in a block type: in
 * its scales), naming each such tensor and its first such element; returns the names of matrices in which all
 * elements are equal, which is worth a warning: such a tensor was often never filled.
 */
export function auditWeights(weights: Weights): string[] {
  const wrong: string[] = [];
  const constant: string[] = [];
  const values = new Float32Array(chunkElements);
  for (const name of weights.names()) {
    const { dtype, shape, bytes } = weights.require(name);
    const block = blockSizes[dtype];
    const elements = (bytes / block.bytes) * block.elements;
    let first = Number.NaN;
    let isConstant = true;
    for (let begin = 0; begin < elements; begin += chunkElements) {
      const count = Math.min(chunkElements, elements - begin);
      const from = (begin / block.elements) * block.bytes;
      const stored = weights.readBytes(name, from, from + (count / block.elements) * block.bytes);
      dequantize(dtype, stored, count, values);
      const place = firstNotFinite(values, count);
      if (place >= 0) {
        wrong.push(`${JSON.stringify(name)} at element ${begin + place}: ${values[place]}`);
        isConstant = false;
        break;
      }
      first = begin === 0 ? values[0]! : first;
      isConstant &&= values.subarray(0, count).every((value) => value === first);
    }
    if (isConstant && shape.length > 1) {
      constant.push(name);
    }
  }
  if (wrong.length > 0) {
    const more = wrong.length > 8 ? `, and ${wrong.length - 8} more tensors` : "";
    const message = `weights that are not finite: ${wrong.slice(0, 8).join(", ")}${more}`;
    throw badInput(
      "weights-not-finite",
      message,
      weights.source,
      "the file is damaged, or training had diverged",
    );
  }
  return constant;
}

function firstNotFinite(values: Float32Array, count: number): number {
  for (let index = 0; index < count; index++) {
    if (!Number.isFinite(values[index]!)) {
      return index;
    }
  }
  return -1;
}
