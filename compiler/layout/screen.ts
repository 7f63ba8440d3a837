import type { DType, MatrixRef } from "../ir/graph.js";
import type { Quantizer } from "../ir/plan.js";
import type { ScreenSource } from "../ir/steps.js";
import { packQuantizedTiles, quantizedTile, quantizedTileLayout } from "./quantized-tiles.js";
import type { QuantizedLinear } from "./quantizer.js";
import { alignment, roundUp } from "./stride.js";

/** The copy of a head at few bits that bounds its logits; templates/include/gsic/screen.h describes how it lies. */
export const screenQuantizer = { bits: 6, group: 128, symmetric: true } as const satisfies Quantizer;
/** Columns of W that the copy keeps in eight bits: those where W is largest, whose scales would be too coarse for others. */
export const screenRank = 32;

const { rows: tileRows } = quantizedTile;
const zero = 2 ** (screenQuantizer.bits - 1);

/** Types whose products are sums of w x in f32, without an offset, by which rounding may be larger than the result. */
const types: readonly DType[] = ["f32", "f16", "bf16", "q8_0"];

/** Whether a matrix may be screened. */
export function canScreen({ dtype, d, ordered }: Pick<MatrixRef, "dtype" | "d" | "ordered">): boolean {
  return types.includes(dtype) && d >= 2 * screenRank && ordered !== true;
}

/** Byte offsets within a copy, and its size. */
export function screenLayout({ out, d }: Pick<MatrixRef, "out" | "d">) {
  const header = roundUp(4 * screenRank, alignment);
  const { bytes: norms } = quantizedTileLayout(d, screenQuantizer, screenRank);
  const tile = norms + 2 * 4 * tileRows;
  return { header, norms, tile, bytes: header + Math.ceil(out / tileRows) * tile };
}

/** What rounding adds to the bound of a logit, as a part of ||w|| ||h||: of h to 16 bits, and of both sums to f32. */
const roundingOf = (d: number) => 2 ** -12 + (d + 64) * 2 ** -22;
/** A row of a larger norm may overflow: its bound is infinite. */
const mostNorm = 1e18;

/** Reads rows of a matrix as f32. */
type ReadRows = (first: number, rows: number) => Float32Array;

/** The copy, piece by piece; reads the matrix twice. */
export function* packScreen({ matrix }: ScreenSource, read: ReadRows): Generator<Uint8Array> {
  const { out, d } = matrix;
  const { header, norms, tile } = screenLayout(matrix);
  const step = Math.max(1, Math.floor((1 << 18) / (d * tileRows))) * tileRows;
  const columns = largestColumns(out, d, step, read);
  const numbers = new Uint8Array(header);
  numbers.set(new Uint8Array(columns.buffer as ArrayBuffer));
  yield numbers;
  for (let first = 0; first < out; first += step) {
    const rows = Math.min(step, out - first);
    const { linear, bounds } = copyOf(read(first, rows), rows, d, columns);
    const shape = { out: rows, d, quantizer: screenQuantizer, rank: screenRank };
    const tiles = Math.ceil(rows / tileRows);
    const piece = new Uint8Array(tiles * tile);
    let index = 0;
    for (const packed of packQuantizedTiles(shape, linear)) {
      for (let at = 0; at < packed.length; at += norms, index++) {
        piece.set(packed.subarray(at, at + norms), index * tile);
        piece.set(boundBytes(bounds, index * tileRows), index * tile + norms);
      }
    }
    yield piece;
  }
}

/** The numbers of the columns with the largest norms, in order. */
function largestColumns(out: number, d: number, step: number, read: ReadRows): Int32Array {
  const squares = new Float64Array(d);
  for (let first = 0; first < out; first += step) {
    const w = read(first, Math.min(step, out - first));
    for (let at = 0; at < w.length; at += d)
      for (let j = 0; j < d; j++) squares[j]! += w[at + j]! * w[at + j]!;
  }
  const order = Array.from({ length: d }, (_, j) => j).sort((a, b) => squares[b]! - squares[a]! || a - b);
  return Int32Array.from(order.slice(0, screenRank)).sort();
}

/** Not less than x, as f32. */
const above = (x: number) => Math.fround(x * (1 + 2 ** -22));

/** What the rows of a copy are off, on the columns in eight bits and on the others. */
interface Bounds {
  readonly others: Float32Array;
  readonly chosen: Float32Array;
}

/** Rows of the copy, and what they are off, with what rounding adds. */
function copyOf(
  w: Float32Array,
  rows: number,
  d: number,
  columns: Int32Array,
): { linear: QuantizedLinear; bounds: Bounds } {
  const groups = Math.ceil(d / screenQuantizer.group);
  const matrix = {
    q: new Uint8Array(rows * d),
    scales: new Int8Array(rows * groups),
    zeros: null,
    rowScales: new Float32Array(rows),
  };
  const lowRank = { a: new Int8Array(rows * screenRank), scales: new Float32Array(rows) };
  const bounds = { others: new Float32Array(rows), chosen: new Float32Array(rows) };
  const rounding = roundingOf(d);
  const rest = new Float64Array(d);
  for (let row = 0; row < rows; row++) {
    const squares = { all: 0, chosen: 0, others: 0 };
    for (let j = 0; j < d; j++) {
      rest[j] = w[row * d + j]!;
      squares.all += rest[j]! * rest[j]!;
    }
    squares.chosen = roundColumns(rest, columns, row, lowRank);
    squares.others = roundRest(rest, row, matrix);
    const norm = Math.sqrt(squares.all);
    const bound = (square: number) => {
      const off = Math.sqrt(square);
      return norm < mostNorm ? above(off + rounding * (norm + off)) : Number.POSITIVE_INFINITY;
    };
    bounds.chosen[row] = bound(squares.chosen);
    bounds.others[row] = bound(squares.others);
  }
  return { linear: { matrix, lowRank }, bounds };
}

/** Rounds the columns in eight bits, and leaves zeros in their places; the square of what they are off. */
function roundColumns(
  w: Float64Array,
  columns: Int32Array,
  row: number,
  { a, scales }: { readonly a: Int8Array; readonly scales: Float32Array },
): number {
  let largest = 0;
  for (const column of columns) largest = Math.max(largest, Math.abs(w[column]!));
  const scale = Math.fround(largest / 127);
  scales[row] = scale;
  let square = 0;
  for (let j = 0; j < screenRank; j++) {
    const value = w[columns[j]!]!;
    const rounded = scale === 0 ? 0 : Math.max(-127, Math.min(127, Math.round(value / scale)));
    a[row * screenRank + j] = rounded;
    square += (value - scale * rounded) ** 2;
    w[columns[j]!] = 0;
  }
  return square;
}

/** Rounds a row in groups; the square of what it is off. */
function roundRest(
  w: Float64Array,
  row: number,
  matrix: { readonly q: Uint8Array; readonly scales: Int8Array; readonly rowScales: Float32Array },
): number {
  const d = w.length;
  const { group } = screenQuantizer;
  const groups = Math.ceil(d / group);
  // The element of largest magnitude of a group becomes -2^(bits - 1) steps, which makes the step's sign.
  const extremes = new Float64Array(groups);
  let largest = 0;
  for (let j = 0; j < d; j++) {
    const g = Math.floor(j / group);
    if (Math.abs(w[j]!) > Math.abs(extremes[g]!)) extremes[g] = w[j]!;
    largest = Math.max(largest, Math.abs(w[j]!));
  }
  const rowScale = Math.fround(largest / zero / 127);
  matrix.rowScales[row] = rowScale;
  let square = 0;
  for (let g = 0; g < groups; g++) {
    const wanted = rowScale === 0 ? 0 : Math.abs(extremes[g]!) / zero / rowScale;
    const scale = Math.min(127, Math.ceil(wanted)) * (extremes[g]! > 0 ? -1 : 1);
    matrix.scales[row * groups + g] = scale;
    const step = rowScale * scale;
    for (let j = g * group; j < Math.min(d, (g + 1) * group); j++) {
      const steps = step === 0 ? 0 : Math.max(-zero, Math.min(zero - 1, Math.round(w[j]! / step)));
      matrix.q[row * d + j] = steps + zero;
      square += (w[j]! - step * steps) ** 2;
    }
  }
  return square;
}

/** Sixteen norms of the other columns, and sixteen of the chosen ones; of rows that are missing infinite ones. */
function boundBytes({ others, chosen }: Bounds, first: number): Uint8Array {
  const norms = new Float32Array(2 * tileRows).fill(Number.POSITIVE_INFINITY);
  norms.set(others.subarray(first, first + tileRows));
  norms.set(chosen.subarray(first, first + tileRows), tileRows);
  return new Uint8Array(norms.buffer);
}
