import { blockSizes, type DType } from "../ir/graph.js";
import { dequantize } from "./dequantize.js";
import { badInput } from "./file.js";
import { placeOf } from "./sizes.js";
import type { Weights } from "./weights.js";

/** Elements that are looked at together. */
const chunkElements = 1 << 19;
/** The first of a tensor, which must be decoded: whether they are equal decides about the rest. */
const firstElements = 1 << 12;

/**
 * Reads every weight once. Throws `weights-not-finite` where a tensor holds NaN or infinities (in a block type: in
 * its scales), naming each such tensor and its first such element; returns the names of matrices in which all
 * elements are equal, which is worth a warning: such a tensor was often never filled. `progress` is told bytes.
 */
export function auditWeights(
  weights: Weights,
  progress: (done: number, total: number) => void = () => {},
): string[] {
  const wrong: string[] = [];
  let where = "";
  const constant: string[] = [];
  const values = new Float32Array(chunkElements);
  const buffer = new Uint8Array(4 * chunkElements);
  const names = weights.names();
  const total = names.reduce((sum, name) => sum + weights.require(name).bytes, 0);
  let done = 0;
  for (const name of names) {
    const { file, offset, dtype, shape, bytes } = weights.require(name);
    const block = blockSizes[dtype];
    const elements = (bytes / block.bytes) * block.elements;
    let first = Number.NaN;
    let isConstant = true;
    for (let begin = 0, count = 0; begin < elements; begin += count) {
      count = Math.min(begin === 0 ? firstElements : chunkElements, elements - begin);
      const from = (begin / block.elements) * block.bytes;
      const stored = weights.readBytes(name, from, from + (count / block.elements) * block.bytes, buffer);
      progress(done + from, total);
      if (!isConstant && isPlainAndFinite(dtype, stored)) continue;
      dequantize(dtype, stored, count, values);
      const place = firstNotFinite(values, count);
      if (place >= 0) {
        const at = Math.floor((begin + place) / block.elements) * block.bytes;
        where ||= placeOf({
          file,
          tensor: name,
          ...(weights.isQuantized(name) ? {} : { offset: offset + at }),
        });
        wrong.push(`${JSON.stringify(name)} at element ${begin + place}: ${values[place]}`);
        isConstant = false;
        break;
      }
      first = begin === 0 ? values[0]! : first;
      isConstant &&= values.subarray(0, count).every((value) => value === first);
    }
    done += bytes;
    if (isConstant && shape.length > 1) {
      constant.push(name);
    }
  }
  if (wrong.length > 0) {
    const more = wrong.length > 8 ? `, and ${wrong.length - 8} more tensors` : "";
    const message = `weights that are not finite: ${wrong.slice(0, 8).join(", ")}${more}`;
    throw badInput("weights-not-finite", message, where, "the file is damaged, or training had diverged");
  }
  return constant;
}

/** The exponents' bits in a word of 32, which are all set in NaN and infinities, and the lowest bit of each. */
const exponents: Readonly<Partial<Record<DType, readonly [bits: number, lowest: number]>>> = {
  f32: [0x7f800000, 0x00800000],
  f16: [0x7c007c00, 0x04000400],
  bf16: [0x7f807f80, 0x00800080],
};

/** Whether all elements are finite, by words of 32 bits, without decoding; false for types of blocks. */
function isPlainAndFinite(dtype: DType, stored: Uint8Array): boolean {
  const known = exponents[dtype];
  if (known === undefined || stored.length % 4 !== 0 || stored.byteOffset % 4 !== 0) return false;
  const [bits, lowest] = known;
  const words = new Uint32Array(stored.buffer, stored.byteOffset, stored.length / 4);
  let carried = 0;
  // An exponent of ones carries into the sign's bit, which the mask has cleared.
  for (let index = 0; index < words.length; index++) carried |= (words[index]! & bits) + lowest;
  return (carried & ~(dtype === "f32" ? 0x7fffffff : 0x7fff7fff)) === 0;
}

function firstNotFinite(values: Float32Array, count: number): number {
  for (let index = 0; index < count; index++) {
    if (!Number.isFinite(values[index]!)) {
      return index;
    }
  }
  return -1;
}
