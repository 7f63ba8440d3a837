import type { BitWidth } from "../ir/plan.js";
import type { QuantizedSource } from "../ir/steps.js";
import type { LowRank, QuantizedLinear, QuantizedMatrix } from "./quantizer.js";
import { tileRows } from "./tiles.js";

/** Elements of a unit of a matrix at few bits; as in gpu/quantized.h. */
export const unitElements = 32;

/** Elements of a unit of its low-rank factor; as in gpu/matrix.h. */
const lowRankElements = 16;

/** Bits for each integer in the two planes: of 3, 5 and 6 bits whole words; 8 bits lie in one plane for each half of a unit. */
export const planeBits: Readonly<Record<BitWidth, readonly [low: number, high: number]>> = {
  3: [2, 1],
  4: [4, 0],
  5: [4, 1],
  6: [4, 2],
  8: [4, 4],
};

/** Where the parts of a tile of four rows begin, in bytes, and what it takes as a whole; see templates/include/gsic/gpu/quantized.h. */
interface QuantizedTile {
  readonly units: number;
  readonly low: number;
  readonly high: number;
  readonly scales: number;
  readonly rowScales: number;
  readonly lowRankScales: number;
  readonly lowRank: number;
  readonly bytes: number;
}

/** The layout of one tile. */
export function quantizedTile({
  d,
  quantizer,
  rank,
}: Pick<QuantizedSource, "d" | "quantizer" | "rank">): QuantizedTile {
  const units = Math.ceil(d / unitElements);
  const [lowBits, highBits] = planeBits[quantizer.bits];
  const plane = (bytes: number, shared = 1) => Math.ceil((Math.ceil(units / shared) * 4 * bytes) / 16) * 16;
  const high = plane((lowBits * unitElements) / 8);
  const scales = high + plane((highBits * unitElements) / 8);
  const rowScales = scales + plane(quantizer.symmetric ? 1 : 2, quantizer.group / unitElements);
  const lowRankScales = rowScales + 16;
  const lowRank = lowRankScales + (rank === 0 ? 0 : 16);
  const bytes = lowRank + 4 * lowRankElements * Math.ceil(rank / lowRankElements);
  return { units, low: 0, high, scales, rowScales, lowRankScales, lowRank, bytes };
}

/** Bytes of tiles that are packed at a time. */
const pieceBytes = 1 << 20;

type Shape = Pick<QuantizedSource, "out" | "d" | "quantizer" | "rank">;

/**
 * A matrix at few bits, and its low-rank factor, in tiles of four rows as templates/include/gsic/gpu/quantized.h reads
 * them; missing rows of the last tile and elements beyond d are zero.
 */
export function* packQuantizedPlanes(
  shape: Shape,
  { matrix, lowRank }: QuantizedLinear,
): Generator<Uint8Array> {
  const layout = quantizedTile(shape);
  const tiles = Math.ceil(shape.out / tileRows);
  const step = Math.max(1, Math.floor(pieceBytes / layout.bytes));
  for (let first = 0; first < tiles; first += step) {
    const piece = new Uint8Array(Math.min(step, tiles - first) * layout.bytes);
    const end = Math.min(shape.out, (first + step) * tileRows);
    for (let row = first * tileRows; row < end; row++) {
      const tile = (Math.floor(row / tileRows) - first) * layout.bytes;
      packRow(shape, layout, matrix, row, piece, tile);
      if (lowRank !== null) packLowRank(shape.rank, layout, lowRank, row, piece, tile);
    }
    yield piece;
  }
}

/** One row's integers, scales and zero points. */
function packRow(
  { d, quantizer }: Shape,
  layout: QuantizedTile,
  { q, scales, zeros, rowScales }: QuantizedMatrix,
  row: number,
  to: Uint8Array,
  tile: number,
): void {
  const { bits, group, symmetric } = quantizer;
  const place = row % tileRows;
  const [lowBytes, highBytes] = planeBits[bits].map((width) => (width * unitElements) / 8) as [
    number,
    number,
  ];
  const put = unitWriters[bits];
  for (let unit = 0; unit < layout.units; unit++) {
    const begin = unit * unitElements;
    const at = unit * tileRows + place;
    const count = Math.min(unitElements, d - begin);
    put(
      q,
      row * d + begin,
      count,
      to,
      tile + layout.low + at * lowBytes,
      tile + layout.high + at * highBytes,
    );
  }
  const groups = Math.ceil(d / group);
  const bytes = symmetric ? 1 : 2;
  for (let index = 0; index < groups; index++) {
    const at = tile + layout.scales + (index * tileRows + place) * bytes;
    to[at] = scales[row * groups + index]!;
    if (!symmetric) to[at + 1] = zeros![row * groups + index]!;
  }
  putFloat(to, tile + layout.rowScales + 4 * place, rowScales[row]!);
}

/** One row of A and its scale. */
function packLowRank(
  rank: number,
  layout: QuantizedTile,
  { a, scales }: LowRank,
  row: number,
  to: Uint8Array,
  tile: number,
): void {
  const place = row % tileRows;
  putFloat(to, tile + layout.lowRankScales + 4 * place, scales[row]!);
  for (let j = 0; j < rank; j++) {
    const unit = Math.floor(j / lowRankElements);
    const at = (unit * tileRows + place) * lowRankElements + (j % lowRankElements);
    to[tile + layout.lowRank + at] = a[row * rank + j]!;
  }
}

/** Puts `count` integers of a unit into its low and its high plane, which are zero before. */
type UnitWriter = (
  q: Uint8Array,
  from: number,
  count: number,
  to: Uint8Array,
  low: number,
  high: number,
) => void;

/** Four bits: the first sixteen in the low halves of bytes. */
const nibbles: UnitWriter = (q, from, count, to, low) => {
  for (let i = 0; i < count; i++) to[low + (i % 16)]! |= q[from + i]! << (4 * (i >> 4));
};

/** Where the bits of an integer lie: in which half of the unit's words, and where there, one after the other. */
interface Place {
  readonly lane: number;
  /** Null where the bits are in several halves. */
  readonly shift: number | null;
  /** By bit: half, and place in it. */
  readonly scattered: readonly (readonly [lane: number, shift: number])[];
}

/** `Fields` of templates/include/gsic/gpu/quantized.h: elements 4 g + j and 4 g + j + 2, for j 0 and 1, are a pair. */
function placesOf(bits: number): readonly Place[] {
  const whole = Math.floor(16 / bits);
  const rest = 16 - whole * bits;
  return Array.from({ length: unitElements }, (_, i) => {
    const [pair, half] = [(i >> 2) * 2 + (i & 1), (i >> 1) & 1];
    const scattered = Array.from({ length: bits }, (_, bit): [number, number] => {
      const left = (pair - bits * whole) * bits + bit;
      return [2 * Math.floor(left / rest) + half, whole * bits + (left % rest)];
    });
    if (pair >= bits * whole) return { lane: 0, shift: null, scattered };
    return { lane: 2 * (pair % bits) + half, shift: bits * Math.floor(pair / bits), scattered: [] };
  });
}

/** Three, five and six bits: in as many words, of which the first lie in the low plane. */
function fields(bits: 3 | 5 | 6): UnitWriter {
  const places = placesOf(bits);
  const lanes = new Uint16Array(2 * bits);
  const lowLanes = (planeBits[bits][0] * unitElements) / 16;
  return (q, from, count, to, low, high) => {
    lanes.fill(0);
    for (let i = 0; i < count; i++) {
      const value = q[from + i]!;
      const { lane, shift, scattered } = places[i]!;
      if (shift !== null) lanes[lane]! |= value << shift;
      else
        for (let bit = 0; bit < bits; bit++)
          lanes[scattered[bit]![0]]! |= ((value >> bit) & 1) << scattered[bit]![1];
    }
    for (let lane = 0; lane < 2 * bits; lane++) {
      const at = lane < lowLanes ? low + 2 * lane : high + 2 * (lane - lowLanes);
      to[at] = lanes[lane]! & 255;
      to[at + 1] = lanes[lane]! >> 8;
    }
  };
}

/** Eight bits are stored less 128, as i8. */
const bytesOf: UnitWriter = (q, from, count, to, low, high) => {
  for (let i = 0; i < count; i++) to[(i < 16 ? low : high - 16) + i] = q[from + i]! ^ 0x80;
};

const unitWriters: Readonly<Record<BitWidth, UnitWriter>> = {
  3: fields(3),
  4: nibbles,
  5: fields(5),
  6: fields(6),
  8: bytesOf,
};

function putFloat(to: Uint8Array, at: number, value: number): void {
  new DataView(to.buffer, to.byteOffset).setFloat32(at, value, true);
}
