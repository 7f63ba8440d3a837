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
  widened,
  wordsOf,
} from "./quantized-linear.js";
import {
  e4m3Values,
  type QuantizedMatrix,
  runsOf,
  signedValues,
  turned,
  unpackRows,
  wholeValues,
} from "./quantized-matrix.js";
import type { RawTensorInfo } from "./safetensors-header.js";

/**
 * A linear as compressed-tensors stores it. `pack-quantized`: weight_packed [out, d bits / 32] I32, integers plus half
 * their range, packed along inputs; weight_scale [out, groups]; weight_zero_point, packed along outputs, where they are
 * asymmetric; weight_g_idx [d] where inputs were ordered; weight_shape. Otherwise a byte a weight: see `byteLinear`.
 */
export function compressedLinear(
  linear: StoredLinear,
  settings: Extract<QuantizationSettings, { method: "compressed-tensors" }>,
  read: ReadTensor,
): QuantizedTensor {
  if (!linear.has("weight_packed"))
    return byteLinear(linear, "weight_scale", settings.block, settings.groups);
  const words = linear.part("weight_packed", ["I32"], [2]);
  const scales = linear.part("weight_scale", scaleTypes, [2]);
  const shape = linear.part("weight_shape", ["I64", "I32"], [1]);
  const [out, width] = words.shape as [number, number];
  const [rows, d] = integersOf(shape, read);
  if (rows !== out || d === undefined || d < 1)
    throw linear.wrong(words, `${rows} rows, as weight_shape says, are needed`);
  const bits = [2, 4, 8].find((bits) => settings.bits.includes(bits) && Math.ceil((d * bits) / 32) === width);
  if (bits === undefined) throw linear.wrong(words, `rows of ${d} numbers of 2, 4 or 8 bits are needed`);
  const groups = scales.shape[1]!;
  const size = groupSize(d, groups, settings.groups);
  if (size === undefined) throw linear.wrong(scales, `groups of ${d} inputs are needed`);
  linear.expect(scales, [out, groups]);
  if (linear.has("weight_g_idx")) linear.expect(linear.part("weight_g_idx", ["I32"], [1]), [d]);
  const index = orderOf(linear, "weight_g_idx", size, read);
  const half = 2 ** (bits - 1);
  const zeros = linear.has("weight_zero_point") ? linear.part("weight_zero_point", ["I32"], [2]) : undefined;
  if (zeros !== undefined) linear.expect(zeros, [Math.ceil((out * bits) / 32), groups]);
  /** [out bits / 32, groups] words, packed along outputs, to [out, groups]. */
  const zerosOf = (zeros: RawTensorInfo) => {
    const height = zeros.shape[0]!;
    const words = new Uint32Array(height * groups);
    const stored = wordsOf(zeros, read);
    for (let row = 0; row < height; row++)
      for (let group = 0; group < groups; group++)
        words[group * height + row] = stored[row * groups + group]!;
    return turned(Float32Array.from(unpackRows(words, groups, out, bits)), groups, out);
  };
  const tensor: QuantizedTensor = {
    out,
    d,
    ...memoryType({ of: "integers", bits, d, size, scales }),
    unpack: (read) => ({
      out,
      d,
      codes: unpackRows(wordsOf(words, read), out, d, bits),
      values: wholeValues(bits),
      scales: floatsOf(scales, read),
      zeros: zeros === undefined ? new Float32Array(out * groups).fill(half) : zerosOf(zeros),
      rows: 1,
      groups,
      groupOf: groupsOf(linear, { d, groups, size }, index, read),
    }),
  };
  return inGroups({ tensor, groups, size, index: index && wordsOf(index, read) });
}

/**
 * A linear of a byte a weight: weight [out, d] I8 or F8_E4M3, and its scales: one, [out, 1], [out, groups], or one of each
 * block of the matrix, [ceil(out / rows), ceil(d / columns)]. `weight_zero_point` has their shape.
 */
export function byteLinear(
  linear: StoredLinear,
  scale: string,
  block: readonly [rows: number, columns: number] | null,
  groupSizes: readonly number[],
): QuantizedTensor {
  const bytes = linear.part("weight", ["I8", "F8_E4M3"], [2]);
  const scales = linear.part(scale, scaleTypes, [0, 1, 2]);
  const zeros = linear.has("weight_zero_point")
    ? linear.part("weight_zero_point", ["I8"], [0, 1, 2])
    : undefined;
  const [out, d] = bytes.shape as [number, number];
  if (zeros !== undefined) linear.expect(zeros, scales.shape);
  const { rows, size } = sharing(linear, bytes, scales, block, groupSizes);
  const groups = Math.ceil(d / size);
  const of = bytes.dtype === "I8" ? "integers" : "e4m3";
  return {
    out,
    d,
    ...(of === "e4m3" && zeros !== undefined
      ? widened("FP8 has zero points")
      : memoryType({ of, bits: 8, d, size, scales })),
    unpack: (read): QuantizedMatrix => ({
      out,
      d,
      codes: read(bytes),
      values: of === "integers" ? signedValues : e4m3Values,
      scales: floatsOf(scales, read),
      zeros: zeros === undefined ? null : Float32Array.from(new Int8Array(read(zeros))),
      rows,
      groups,
      groupOf: runsOf(d, size),
    }),
  };
}

/** Rows and inputs that share a scale. */
function sharing(
  linear: StoredLinear,
  bytes: RawTensorInfo,
  scales: RawTensorInfo,
  block: readonly [rows: number, columns: number] | null,
  groupSizes: readonly number[],
): { readonly rows: number; readonly size: number } {
  const [out, d] = bytes.shape as [number, number];
  const [high, wide] =
    scales.shape.length === 2 ? (scales.shape as [number, number]) : [scales.shape[0] ?? 1, 1];
  if (high === 1 && wide === 1) return { rows: out, size: d };
  if (block !== null && Math.ceil(out / block[0]) === high && Math.ceil(d / block[1]) === wide)
    return { rows: block[0], size: block[1] };
  const size = groupSize(d, wide, groupSizes);
  if (high === out && size !== undefined) return { rows: 1, size };
  throw linear.wrong(scales, `scales of a matrix of ${out} by ${d} are needed`);
}

function integersOf(info: RawTensorInfo, read: ReadTensor): number[] {
  const words = wordsOf(info, read);
  return info.dtype === "I32" ? [...words] : [...words].filter((_, index) => index % 2 === 0);
}
