import { blockSizes, type DType } from "../ir/graph.js";
import { GsicError } from "../support/errors.js";
import { decodeCheckpoint } from "./checkpoint-blocks.js";

/**
 * Decodes `elements` values that are stored as `dtype` into f32, exactly as the formats define them. Every product
 * below is exact in float64 and is rounded once, when it is stored, so a C reader that fuses multiply and add, or
 * does not, gets the same bits.
 *
 * `elements` must fill whole blocks and `bytes` must be exactly their bytes; anything else is a defect of the caller.
 * Writes to the start of `out` where it is given (it may be longer), and returns it.
 */
export function dequantize(
  dtype: DType,
  bytes: Uint8Array,
  elements: number,
  out: Float32Array = new Float32Array(elements),
): Float32Array {
  const block = blockSizes[dtype];
  const fits = elements % block.elements === 0 && bytes.length === (elements / block.elements) * block.bytes;
  if (!fits || out.length < elements) {
    throw new GsicError({
      category: "defect",
      code: "dequantize-size",
      message: `${elements} elements of ${dtype} were asked from ${bytes.length} bytes into ${out.length} floats`,
    });
  }
  switch (dtype) {
    case "f32":
      new Uint8Array(out.buffer, out.byteOffset, bytes.length).set(bytes);
      break;
    case "f16":
      decodeF16(bytes, elements, out);
      break;
    case "bf16":
      decodeBf16(bytes, elements, out);
      break;
    case "q8_0":
      decodeQ8_0(bytes, elements, out);
      break;
    case "q4_0":
      decodeQ4_0(bytes, elements, out);
      break;
    case "q4_1":
      decodeQ4_1(bytes, elements, out);
      break;
    case "q5_0":
      decodeQ5_0(bytes, elements, out);
      break;
    case "q5_1":
      decodeQ5_1(bytes, elements, out);
      break;
    case "q4_k":
      decodeQ45K(bytes, elements, out, false);
      break;
    case "q5_k":
      decodeQ45K(bytes, elements, out, true);
      break;
    case "q6_k":
      decodeQ6K(bytes, elements, out);
      break;
    case "i4":
    case "i4_128":
    case "i8":
    case "f8":
    case "f8_128":
    case "nf4":
    case "fp4":
      decodeCheckpoint(dtype, bytes, out);
      break;
    default:
      dtype satisfies never;
  }
  return out;
}

let halves: Float32Array | undefined;

/** Every f16 value by its bits: a look-up is several times faster than decoding. */
function halfTable(): Float32Array {
  halves ??= Float32Array.from({ length: 1 << 16 }, (_, bits) => decodeHalf(bits));
  return halves;
}

function decodeHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) {
    return sign * fraction * 2 ** -24;
  }
  if (exponent === 31) {
    return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  }
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

function decodeF16(bytes: Uint8Array, elements: number, out: Float32Array): void {
  const half = halfTable();
  for (let i = 0; i < elements; i++) {
    out[i] = half[bytes[2 * i]! | (bytes[2 * i + 1]! << 8)]!;
  }
}

function decodeBf16(bytes: Uint8Array, elements: number, out: Float32Array): void {
  const words = new Uint32Array(out.buffer, out.byteOffset, elements);
  for (let i = 0; i < elements; i++) {
    words[i] = (bytes[2 * i]! << 16) | (bytes[2 * i + 1]! << 24);
  }
}

/** 32 elements: f16 d, 32 x int8 q. x = d q. */
function decodeQ8_0(bytes: Uint8Array, elements: number, out: Float32Array): void {
  const half = halfTable();
  for (let e = 0, b = 0; e < elements; e += 32, b += 34) {
    const d = half[bytes[b]! | (bytes[b + 1]! << 8)]!;
    for (let j = 0; j < 32; j++) {
      out[e + j] = d * ((bytes[b + 2 + j]! << 24) >> 24);
    }
  }
}

/** 32 elements: f16 d, 16 bytes of nibbles, low ones first. x = d (q - 8). */
function decodeQ4_0(bytes: Uint8Array, elements: number, out: Float32Array): void {
  const half = halfTable();
  for (let e = 0, b = 0; e < elements; e += 32, b += 18) {
    const d = half[bytes[b]! | (bytes[b + 1]! << 8)]!;
    for (let j = 0; j < 16; j++) {
      const q = bytes[b + 2 + j]!;
      out[e + j] = d * ((q & 15) - 8);
      out[e + 16 + j] = d * ((q >> 4) - 8);
    }
  }
}

/** 32 elements: f16 d, f16 m, 16 bytes of nibbles. x = d q + m. */
function decodeQ4_1(bytes: Uint8Array, elements: number, out: Float32Array): void {
  const half = halfTable();
  for (let e = 0, b = 0; e < elements; e += 32, b += 20) {
    const d = half[bytes[b]! | (bytes[b + 1]! << 8)]!;
    const m = half[bytes[b + 2]! | (bytes[b + 3]! << 8)]!;
    for (let j = 0; j < 16; j++) {
      const q = bytes[b + 4 + j]!;
      out[e + j] = d * (q & 15) + m;
      out[e + 16 + j] = d * (q >> 4) + m;
    }
  }
}

/** 32 elements: f16 d, 32 fifth bits, 16 bytes of nibbles. x = d (q - 16). */
function decodeQ5_0(bytes: Uint8Array, elements: number, out: Float32Array): void {
  const half = halfTable();
  for (let e = 0, b = 0; e < elements; e += 32, b += 22) {
    const d = half[bytes[b]! | (bytes[b + 1]! << 8)]!;
    const high = bytes[b + 2]! | (bytes[b + 3]! << 8) | (bytes[b + 4]! << 16) | (bytes[b + 5]! << 24);
    for (let j = 0; j < 16; j++) {
      const q = bytes[b + 6 + j]!;
      out[e + j] = d * (((q & 15) | (((high >>> j) & 1) << 4)) - 16);
      out[e + 16 + j] = d * (((q >> 4) | (((high >>> (j + 16)) & 1) << 4)) - 16);
    }
  }
}

/** 32 elements: f16 d, f16 m, 32 fifth bits, 16 bytes of nibbles. x = d q + m. */
function decodeQ5_1(bytes: Uint8Array, elements: number, out: Float32Array): void {
  const half = halfTable();
  for (let e = 0, b = 0; e < elements; e += 32, b += 24) {
    const d = half[bytes[b]! | (bytes[b + 1]! << 8)]!;
    const m = half[bytes[b + 2]! | (bytes[b + 3]! << 8)]!;
    const high = bytes[b + 4]! | (bytes[b + 5]! << 8) | (bytes[b + 6]! << 16) | (bytes[b + 7]! << 24);
    for (let j = 0; j < 16; j++) {
      const q = bytes[b + 8 + j]!;
      out[e + j] = d * ((q & 15) | (((high >>> j) & 1) << 4)) + m;
      out[e + 16 + j] = d * ((q >> 4) | (((high >>> (j + 16)) & 1) << 4)) + m;
    }
  }
}

/**
 * 256 elements: f16 d, f16 dmin, 8 six-bit scales s and 8 six-bit minima t in 12 bytes, 128 bytes of nibbles.
 * Sub-block j of 32: x = d s_j q - dmin t_j. Nibbles of 64 elements share 32 bytes, the low half first.
 */
function decodeQ45K(bytes: Uint8Array, elements: number, out: Float32Array, fifthBits: boolean): void {
  const half = halfTable();
  const [stride, quants] = fifthBits ? [176, 48] : [144, 16];
  for (let e = 0, b = 0; e < elements; e += 256, b += stride) {
    const d = half[bytes[b]! | (bytes[b + 1]! << 8)]!;
    const dmin = half[bytes[b + 2]! | (bytes[b + 3]! << 8)]!;
    for (let j = 0; j < 8; j++) {
      const low = bytes[b + 4 + (j & 3)]!;
      const middle = bytes[b + 8 + (j & 3)]!;
      const high = bytes[b + 12 + (j & 3)]!;
      const scale = d * (j < 4 ? low & 63 : (high & 15) | ((low >> 6) << 4));
      const minimum = dmin * (j < 4 ? middle & 63 : (high >> 4) | ((middle >> 6) << 4));
      const from = b + quants + (j >> 1) * 32;
      const shift = (j & 1) * 4;
      for (let i = 0, to = e + j * 32; i < 32; i++) {
        const fifth = fifthBits ? ((bytes[b + 16 + i]! >> j) & 1) << 4 : 0;
        out[to + i] = scale * (((bytes[from + i]! >> shift) & 15) | fifth) - minimum;
      }
    }
  }
}

/**
 * 256 elements: 128 bytes of low nibbles, 64 bytes of high bit pairs, 16 int8 scales s, f16 d. Sub-block j of 16:
 * x = d s_j (q - 32). Each half of 128 elements has 4 runs of 32: runs 0 and 2 share nibble bytes, as do 1 and 3,
 * and the 4 runs share the 32 bytes of bit pairs.
 */
function decodeQ6K(bytes: Uint8Array, elements: number, out: Float32Array): void {
  const half = halfTable();
  for (let e = 0, b = 0; e < elements; e += 256, b += 210) {
    const d = half[bytes[b + 208]! | (bytes[b + 209]! << 8)]!;
    for (let run = 0; run < 8; run++) {
      const part = run >> 2;
      const nibbles = b + part * 64 + (run & 1) * 32;
      const pairs = b + 128 + part * 32;
      const shift = (run & 2) * 2;
      const pairShift = (run & 3) * 2;
      for (let i = 0; i < 32; i++) {
        const q = ((bytes[nibbles + i]! >> shift) & 15) | (((bytes[pairs + i]! >> pairShift) & 3) << 4);
        const scale = (bytes[b + 192 + run * 2 + (i >> 4)]! << 24) >> 24;
        out[e + run * 32 + i] = d * scale * (q - 32);
      }
    }
  }
}

/** Values rounded to f16, as a bundle holds bases and images. */
export function asHalf(values: Float32Array): Float32Array {
  return dequantize("f16", new Uint8Array(toF16(values).buffer as ArrayBuffer), values.length);
}

/** Rounds to f16, to nearest and ties to even; beyond 65520 becomes infinite, NaN stays NaN. */
export function toF16(values: Float32Array): Uint16Array {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const halfs = new Uint16Array(values.length);
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    const sign = (word >>> 16) & 0x8000;
    const magnitude = word & 0x7fffffff;
    if (magnitude >= 0x7f800000) {
      halfs[i] = sign | 0x7c00 | (magnitude > 0x7f800000 ? 0x200 | ((magnitude >> 13) & 0x1ff) : 0);
    } else if (magnitude >= 0x477ff000) {
      halfs[i] = sign | 0x7c00;
    } else if (magnitude >= 0x38800000) {
      // Normal: move the exponent's bias from 127 to 15; a carry out of the fraction raises the exponent as it should.
      halfs[i] = sign | roundShift(magnitude - 0x38000000, 13);
    } else if (magnitude < 0x33000000) {
      halfs[i] = sign;
    } else {
      // Subnormal: the value as a multiple of 2^-24.
      halfs[i] = sign | roundShift((magnitude & 0x7fffff) | 0x800000, 126 - (magnitude >> 23));
    }
  }
  return halfs;
}

/** Rounds to bf16, to nearest and ties to even; NaN stays NaN. */
export function toBf16(values: Float32Array): Uint16Array {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const halfs = new Uint16Array(values.length);
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    const notNumber = (word & 0x7fffffff) > 0x7f800000;
    halfs[i] = notNumber ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
  return halfs;
}

/** `value` / 2^shift, to nearest and ties to even. */
function roundShift(value: number, shift: number): number {
  const half = 1 << (shift - 1);
  return (value + half - 1 + ((value >> shift) & 1)) >> shift;
}
