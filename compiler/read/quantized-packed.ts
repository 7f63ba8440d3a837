import type { QuantizationSettings } from "./quantized-config.js";
import {
  floatsOf,
  groupSize,
  groupsOf,
  inGroups,
  memoryType,
  orderOf,
  type QuantizedTensor,
  type ReadTensor,
  type StoredLinear,
  scaleTypes,
  wordsOf,
} from "./quantized-linear.js";
import { runsOf, turned, unpackColumns, unpackRows, wholeValues } from "./quantized-matrix.js";

/**
 * A linear as GPTQ's libraries store it, `bits` bits a weight: qweight [d bits / 32, out] I32, packed along inputs; scales
 * [groups, out]; qzeros [groups, out bits / 32] I32, packed along outputs, in format `gptq` less 1 and in `gptq_v2` as
 * they are; g_idx [d] I32, the group of each input, where inputs were ordered by their activations (`desc_act`).
 */
export function gptqLinear(
  linear: StoredLinear,
  settings: Extract<QuantizationSettings, { method: "gptq" }>,
  read: ReadTensor,
): QuantizedTensor {
  const words = linear.part("qweight", ["I32"], [2]);
  const scales = linear.part("scales", scaleTypes, [2]);
  const zeros = linear.part("qzeros", ["I32"], [2]);
  const inputs = linear.has("g_idx") ? linear.part("g_idx", ["I32"], [1]).shape[0]! : undefined;
  const [height, out] = words.shape as [number, number];
  const groups = scales.shape[0]!;
  // Where layers differ in bits (`dynamic`), g_idx has the number of inputs.
  const bits = inputs === undefined ? settings.bits : (32 * height) / inputs;
  if (![2, 4, 8].includes(bits)) throw linear.wrong(words, "2, 4 or 8 bits a weight are needed");
  const d = (32 / bits) * height;
  const size = groupSize(d, groups, [settings.group]);
  if (size === undefined) throw linear.wrong(scales, `groups of ${d} inputs are needed`);
  linear.expect(scales, [groups, out]);
  linear.expect(zeros, [groups, Math.ceil((out * bits) / 32)]);
  const index = orderOf(linear, "g_idx", size, read);
  const tensor: QuantizedTensor = {
    out,
    d,
    ...memoryType({ of: "integers", bits, d, size, scales }),
    unpack: (read) => {
      const packed = wordsOf(zeros, read);
      // The least bit of each number: the library adds these to whole words, carries and all.
      const ones = settings.zerosLessOne ? 0xffffffff / (2 ** bits - 1) : 0;
      const stored = unpackRows(
        packed.map((word) => word + ones),
        groups,
        out,
        bits,
      );
      return {
        out,
        d,
        codes: unpackColumns(wordsOf(words, read), out, d, bits),
        values: wholeValues(bits),
        scales: turned(floatsOf(scales, read), groups, out),
        zeros: turned(Float32Array.from(stored), groups, out),
        rows: 1,
        groups,
        groupOf: groupsOf(linear, { d, groups, size }, index, read),
      };
    },
  };
  return inGroups({ tensor, groups, size, index: index && wordsOf(index, read) });
}

/** The output that nibble i of an AWQ word belongs to. */
const awqOrder = [0, 2, 4, 6, 1, 3, 5, 7] as const;

/**
 * A linear as AutoAWQ's `gemm` stores it, 4 bits a weight: qweight [d, out / 8] and qzeros [groups, out / 8] I32, eight
 * outputs a word in the order 0, 2, 4, 6, 1, 3, 5, 7; scales [groups, out].
 */
export function awqLinear(
  linear: StoredLinear,
  settings: Extract<QuantizationSettings, { method: "awq" }>,
): QuantizedTensor {
  const words = linear.part("qweight", ["I32"], [2]);
  const scales = linear.part("scales", scaleTypes, [2]);
  const zeros = linear.part("qzeros", ["I32"], [2]);
  const [d, width] = words.shape as [number, number];
  const [out, groups] = [8 * width, scales.shape[0]!];
  const size = groupSize(d, groups, [settings.group]);
  if (size === undefined) throw linear.wrong(scales, `groups of ${d} inputs are needed`);
  linear.expect(scales, [groups, out]);
  linear.expect(zeros, [groups, width]);
  /** [rows, out / 8] words to [out, rows]. */
  const nibbles = (words: Uint32Array, rows: number) => {
    const numbers = new Uint8Array(rows * out);
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < width; column++) {
        const word = words[row * width + column]!;
        for (let i = 0; i < 8; i++)
          numbers[(8 * column + awqOrder[i]!) * rows + row] = (word >>> (4 * i)) & 15;
      }
    }
    return numbers;
  };
  return {
    out,
    d,
    ...memoryType({ of: "integers", bits: 4, d, size, scales }),
    unpack: (read: ReadTensor) => ({
      out,
      d,
      codes: nibbles(wordsOf(words, read), d),
      values: wholeValues(4),
      scales: turned(floatsOf(scales, read), groups, out),
      zeros: Float32Array.from(nibbles(wordsOf(zeros, read), groups)),
      rows: 1,
      groups,
      groupOf: runsOf(d, size),
    }),
  };
}
