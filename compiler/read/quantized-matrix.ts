import { GsicError } from "../support/errors.js";

/**
 * A linear's weights as a quantised checkpoint stores them: small integers, each of which stands for a number, with scales
 * and zero points that blocks of the matrix share:
 *
 *   w[r][j] = (values[code[r][j]] - zero[R][g]) * scale[R][g],  R = floor(r / rows), g = groupOf[j]
 */
export interface QuantizedMatrix {
  readonly out: number;
  readonly d: number;
  /** [out, d], one a byte. */
  readonly codes: Uint8Array;
  /** The number that a code stands for. */
  readonly values: Float32Array;
  /** [ceil(out / rows), groups]. */
  readonly scales: Float32Array;
  /** Like `scales`; null: all 0. */
  readonly zeros: Float32Array | null;
  /** Rows of the matrix that share a row of scales. */
  readonly rows: number;
  readonly groups: number;
  /** The group of each of the d inputs. */
  readonly groupOf: Uint32Array;
}

/**
 * Elements `first` to `first + out.length` of the matrix, row after row, each rounded to f32 once; exactly what the
 * format defines where scales have 16 bits, since an integer of 9 bits times 11 bits of a scale is an f32.
 */
export function widenQuantized(matrix: QuantizedMatrix, first: number, out: Float32Array): void {
  const { d, codes, values, scales, zeros, rows, groups, groupOf } = matrix;
  const end = first + out.length;
  for (let at = first; at < end; ) {
    const row = Math.floor(at / d);
    const base = Math.floor(row / rows) * groups;
    const begin = row * d;
    const stop = Math.min(end, begin + d);
    for (; at < stop; at++) {
      const place = base + groupOf[at - begin]!;
      const zero = zeros === null ? 0 : zeros[place]!;
      out[at - first] = (values[codes[at]!]! - zero) * scales[place]!;
    }
  }
}

/** What codes of so many bits stand for where they are whole numbers from 0 on. */
export function wholeValues(bits: number): Float32Array {
  return Float32Array.from({ length: 1 << bits }, (_, code) => code);
}

/** What bytes stand for that are signed integers. */
export const signedValues = Float32Array.from({ length: 256 }, (_, code) => (code << 24) >> 24);

/** What bytes stand for that are FP8 of the kind e4m3fn: 4 bits of exponent with bias 7, 3 of fraction, no infinities. */
export const e4m3Values = Float32Array.from({ length: 256 }, (_, code) => {
  const sign = code & 0x80 ? -1 : 1;
  const [exponent, fraction] = [(code >> 3) & 15, code & 7];
  if (exponent === 15 && fraction === 7) return Number.NaN;
  return sign * (exponent === 0 ? fraction * 2 ** -9 : (1 + fraction / 8) * 2 ** (exponent - 7));
});

/**
 * What codes of four bits stand for that are bitsandbytes' FP4: twelfths of a sign, two bits of exponent and one of fraction,
 * whose smallest number is 1/16.
 */
export const fourBitFloats = Float32Array.from(
  [0, 0.0625, 8, 12, 4, 6, 2, 3, -0, -0.0625, -8, -12, -4, -6, -2, -3],
  (twelfths) => twelfths / 12,
);

/** What codes of four bits stand for that are NF4: Dettmers et al., QLoRA (2023), appendix E. */
export const normalFloats = Float32Array.of(
  -1,
  -0.6961928009986877,
  -0.5250730514526367,
  -0.39491748809814453,
  -0.28444138169288635,
  -0.18477343022823334,
  -0.09105003625154495,
  0,
  0.07958029955625534,
  0.16093020141124725,
  0.24611230194568634,
  0.33791524171829224,
  0.44070982933044434,
  0.5626170039176941,
  0.7229568362236023,
  1,
);

/** The group of each input where groups are runs of `size` inputs. */
export function runsOf(d: number, size: number): Uint32Array {
  return Uint32Array.from({ length: d }, (_, input) => Math.floor(input / size));
}

/** Numbers of `bits` bits (2, 4 or 8), the lowest bits of a word first, of rows of words: [rows, words] to [rows, count]. */
export function unpackRows(words: Uint32Array, rows: number, count: number, bits: number): Uint8Array {
  const each = 32 / bits;
  const mask = 2 ** bits - 1;
  const width = Math.ceil(count / each);
  if (words.length !== rows * width) throw defect(`${words.length} words for ${rows} rows of ${count}`);
  const numbers = new Uint8Array(rows * count);
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < count; i++) {
      numbers[row * count + i] = (words[row * width + Math.floor(i / each)]! >>> ((i % each) * bits)) & mask;
    }
  }
  return numbers;
}

/** The same packed along columns: words [ceil(count / each), columns] to [columns, count]. */
export function unpackColumns(words: Uint32Array, columns: number, count: number, bits: number): Uint8Array {
  const each = 32 / bits;
  const mask = 2 ** bits - 1;
  const height = Math.ceil(count / each);
  if (words.length !== columns * height)
    throw defect(`${words.length} words for ${columns} columns of ${count}`);
  const numbers = new Uint8Array(columns * count);
  // A few rows of words together, so that what is written lies together as well.
  for (let top = 0; top < height; top += columnRun) {
    const end = Math.min(height, top + columnRun);
    for (let column = 0; column < columns; column++) {
      for (let row = top; row < end; row++) {
        const word = words[row * columns + column]!;
        const present = Math.min(each, count - row * each);
        for (let i = 0; i < present; i++) {
          numbers[column * count + row * each + i] = (word >>> (i * bits)) & mask;
        }
      }
    }
  }
  return numbers;
}

const columnRun = 16;

/** Transposes [rows, columns] numbers. */
export function turned<T extends Uint8Array | Float32Array>(from: T, rows: number, columns: number): T {
  const to = new (from.constructor as new (length: number) => T)(from.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) to[column * rows + row] = from[row * columns + column]!;
  }
  return to;
}

function defect(message: string): GsicError {
  return new GsicError({ category: "defect", code: "quantized-words", message });
}
