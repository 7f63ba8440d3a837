import { blockSizes, type DType } from "../ir/graph.js";
import { frontOf } from "./front.js";
import { tileRows } from "./tiles.js";

/** How a GPU reads a weight type: a lane takes `elements` of a row at a time, from one plane after another. */
interface UnitLayout {
  /** Elements of a unit. */
  readonly elements: number;
  /** Bytes for every run of `units` units of a row, plane by plane. */
  readonly planes: readonly { readonly bytes: number; readonly units: number }[];
}

const plain = (elements: number): UnitLayout => ({ elements, planes: [{ bytes: 16, units: 1 }] });

const blocks = (...planes: readonly (readonly [bytes: number, units: number])[]): UnitLayout => ({
  elements: 32,
  planes: planes.map(([bytes, units]) => ({ bytes, units })),
});

/** The types of templates/include/gsic/gpu/weights.h and checkpoint.h. */
export const unitLayouts: Readonly<Record<DType, UnitLayout>> = {
  f32: plain(4),
  f16: plain(8),
  bf16: plain(8),
  q8_0: blocks([16, 1], [16, 1], [2, 1]),
  q4_0: blocks([16, 1], [2, 1]),
  q4_1: blocks([16, 1], [4, 1]),
  q5_0: blocks([16, 1], [4, 1], [2, 1]),
  q5_1: blocks([16, 1], [4, 1], [4, 1]),
  q4_k: blocks([16, 1], [16, 8]),
  q5_k: blocks([16, 1], [4, 1], [16, 8]),
  q6_k: blocks([16, 1], [8, 1], [2, 1], [2, 8]),
  i4: blocks([16, 1], [4, 1]),
  i4_128: blocks([16, 1], [4, 4]),
  i8: blocks([16, 1], [16, 1], [4, 1]),
  f8: blocks([16, 1], [16, 1], [4, 1]),
  f8_128: blocks([16, 1], [16, 1], [4, 4]),
  nf4: blocks([16, 1], [4, 2]),
  fp4: blocks([16, 1], [4, 2]),
};

/** Units of a row of d elements. */
function unitsOf(dtype: DType, d: number): number {
  return Math.ceil(d / unitLayouts[dtype].elements);
}

/** Bytes of one tile of four rows, and where its planes begin; every plane begins at a multiple of 16. */
export function tilePlanes(dtype: DType, d: number): { readonly bytes: number; readonly begins: number[] } {
  const units = unitsOf(dtype, d);
  const begins: number[] = [];
  let bytes = 0;
  for (const plane of unitLayouts[dtype].planes) {
    begins.push(bytes);
    bytes += Math.ceil((Math.ceil(units / plane.units) * 4 * plane.bytes) / 16) * 16;
  }
  return { bytes, begins };
}

/**
 * Packs whole rows as they are stored into tiles of four rows, in planes, as templates/include/gsic/gpu/weights.h reads
 * them. `rows` holds complete rows; missing rows of the last tile and elements beyond d are zero. The result lies at the
 * front of `buffer` where that is given and large enough, else in new memory.
 */
export function packPlanes(dtype: DType, d: number, rows: Uint8Array, buffer?: Uint8Array): Uint8Array {
  const block = blockSizes[dtype];
  const rowBytes = (d / block.elements) * block.bytes;
  const tileBytes = tilePlanes(dtype, d).bytes;
  const packed = frontOf(buffer, Math.ceil(rows.length / rowBytes / tileRows) * tileBytes);
  // Bytes are moved, none is added: equal sizes leave no gap.
  if (packed.length !== rows.length) packed.fill(0);
  const split = splitters[dtype];
  if (split === null) interleaveRuns(rows, rowBytes, packed, tileBytes);
  else splitBlocks(dtype, d, rows, packed, split);
  return packed;
}

/** Types of blocks: each block's parts go to its planes. */
function splitBlocks(dtype: DType, d: number, rows: Uint8Array, packed: Uint8Array, split: Splitter): void {
  const block = blockSizes[dtype];
  const { elements, planes } = unitLayouts[dtype];
  const rowBytes = (d / block.elements) * block.bytes;
  const { bytes: tileBytes, begins } = tilePlanes(dtype, d);
  const unitsPerBlock = block.elements / elements;
  const steps = planes.map(({ bytes, units }) => (unitsPerBlock / units) * tileRows * bytes);
  const at = new Array<number>(planes.length);
  for (let row = 0; row * rowBytes < rows.length; row++) {
    const tile = Math.floor(row / tileRows) * tileBytes;
    for (const [plane, { bytes }] of planes.entries())
      at[plane] = tile + begins[plane]! + (row % tileRows) * bytes;
    for (let from = row * rowBytes; from < (row + 1) * rowBytes; from += block.bytes) {
      split(rows, from, packed, at);
      for (let plane = 0; plane < at.length; plane++) at[plane]! += steps[plane]!;
    }
  }
}

/** Bytes of a unit of the types whose units are runs of stored bytes. */
const runBytes = 16;

/** Types of one plane: the rows' runs of 16 bytes, interleaved; by words, since a call a run is slow. */
function interleaveRuns(rows: Uint8Array, rowBytes: number, packed: Uint8Array, tileBytes: number): void {
  const wide = [rowBytes, rows.byteOffset, packed.byteOffset].every((n) => n % 4 === 0);
  const Words = wide ? Uint32Array : Uint8Array;
  const size = Words.BYTES_PER_ELEMENT;
  const from = new Words(rows.buffer as ArrayBuffer, rows.byteOffset, rows.length / size);
  const to = new Words(packed.buffer as ArrayBuffer, packed.byteOffset, packed.length / size);
  const [rowWords, run, tileWords] = [rowBytes / size, runBytes / size, tileBytes / size];
  const count = from.length / rowWords;
  for (let tile = 0; tile * tileRows < count; tile++) {
    const present = Math.min(tileRows, count - tile * tileRows);
    // In the order of the result: a store that jumps costs more than a load that does.
    for (let begin = 0; begin < rowWords; begin += run) {
      const length = Math.min(run, rowWords - begin);
      for (let row = 0; row < present; row++) {
        const source = (tile * tileRows + row) * rowWords + begin;
        const target = tile * tileWords + begin * tileRows + row * run;
        for (let i = 0; i < length; i++) to[target + i] = from[source + i]!;
      }
    }
  }
}

/** Puts a stored block's parts where its first unit begins in every plane, and the following units. */
type Splitter = (from: Uint8Array, block: number, to: Uint8Array, at: readonly number[]) => void;

/** Takes runs of a block of one unit to planes in order: [begin, end] of each. */
function runs(...places: readonly (readonly [begin: number, end: number])[]): Splitter {
  return (from, block, to, at) => {
    for (let plane = 0; plane < places.length; plane++) {
      const [begin, end] = places[plane]!;
      const target = at[plane]! - begin;
      for (let i = begin; i < end; i++) to[target + i] = from[block + i]!;
    }
  };
}

/** The bits of a byte, those of elements 0, 1, 4 and 5 in front, those of 2, 3, 6 and 7 behind them. */
const paired = Uint8Array.from({ length: 256 }, (_, byte) =>
  [0, 1, 4, 5, 2, 3, 6, 7].reduce((bits, from, to) => bits | (((byte >> from) & 1) << to), 0),
);

/** A fifth bit for each of 32 elements, as `fifth_place` of gpu/pairs.h has them: from four bytes in their order. */
function pairFifth(bytes: Uint8Array, at: number): void {
  const [a, b, c, d] = [0, 1, 2, 3].map((i) => paired[bytes[at + i]!]!) as [number, number, number, number];
  bytes[at] = (a & 15) | ((b & 15) << 4);
  bytes[at + 1] = (c & 15) | ((d & 15) << 4);
  bytes[at + 2] = (a >> 4) | (b & 240);
  bytes[at + 3] = (c >> 4) | (d & 240);
}

/** Two high bits for each of 32 elements: the same order, from eight bytes. */
function pairHigh(bytes: Uint8Array, at: number): void {
  for (const word of [at, at + 4]) {
    const [a, b, c, d] = [0, 1, 2, 3].map((i) => bytes[word + i]!) as [number, number, number, number];
    bytes[word] = (a & 15) | ((b & 15) << 4);
    bytes[word + 1] = (c & 15) | ((d & 15) << 4);
    bytes[word + 2] = (a >> 4) | (b & 240);
    bytes[word + 3] = (c >> 4) | (d & 240);
  }
}

/** Puts the fifth bits in the order of pairs, which a splitter has left in plane 1 in theirs. */
function pairedFifth(split: Splitter): Splitter {
  return (from, block, to, at) => {
    split(from, block, to, at);
    pairFifth(to, at[1]!);
  };
}

/** How a stored block becomes planes; null where a unit is a run of stored bytes. The blocks are those of ir/graph.ts. */
const splitters: Readonly<Record<DType, Splitter | null>> = {
  f32: null,
  f16: null,
  bf16: null,
  q8_0: runs([2, 18], [18, 34], [0, 2]),
  q4_0: runs([2, 18], [0, 2]),
  q4_1: runs([4, 20], [0, 4]),
  q5_0: pairedFifth(runs([6, 22], [2, 6], [0, 2])),
  q5_1: pairedFifth(runs([8, 24], [4, 8], [0, 4])),
  q4_k: splitK4,
  q5_k: splitK5,
  q6_k: split6,
  i4: runs([4, 20], [0, 4]),
  i4_128: shared(4, 1),
  i8: runs([4, 20], [20, 36], [0, 4]),
  f8: runs([4, 20], [20, 36], [0, 4]),
  f8_128: shared(4, 2),
  nf4: shared(2, 1),
  fp4: shared(2, 1),
};

/** A word, which so many units share, and their elements in so many planes. */
function shared(units: number, planes: number): Splitter {
  return (from, block, to, at) => {
    for (let unit = 0, source = block + 4; unit < units; unit++)
      for (let plane = 0; plane < planes; plane++, source += 16)
        copy(from, source, 16, to, at[plane]! + unit * step(16));
    copy(from, block, 4, to, at[planes]!);
  };
}

/** 32 four-bit numbers in 16 bytes, the first 16 in the low halves, from 32 bytes that have them at `shift`. */
function putNibbles(from: Uint8Array, source: number, shift: number, to: Uint8Array, target: number): void {
  for (let i = 0; i < 16; i++) {
    to[target + i] = ((from[source + i]! >> shift) & 15) | (((from[source + 16 + i]! >> shift) & 15) << 4);
  }
}

function copy(from: Uint8Array, source: number, bytes: number, to: Uint8Array, target: number): void {
  for (let i = 0; i < bytes; i++) to[target + i] = from[source + i]!;
}

/** Bytes from a unit to the next in a plane of `bytes` for each. */
const step = (bytes: number) => tileRows * bytes;

function splitK4(from: Uint8Array, block: number, to: Uint8Array, at: readonly number[]): void {
  for (let unit = 0; unit < 8; unit++) {
    putNibbles(from, block + 16 + 32 * (unit >> 1), 4 * (unit % 2), to, at[0]! + unit * step(16));
  }
  copy(from, block, 16, to, at[1]!);
}

function splitK5(from: Uint8Array, block: number, to: Uint8Array, at: readonly number[]): void {
  for (let unit = 0; unit < 8; unit++) {
    putNibbles(from, block + 48 + 32 * (unit >> 1), 4 * (unit % 2), to, at[0]! + unit * step(16));
    const target = at[1]! + unit * step(4);
    for (let byte = 0; byte < 4; byte++) {
      let bits = 0;
      for (let i = 0; i < 8; i++) bits |= ((from[block + 16 + 8 * byte + i]! >> unit) & 1) << i;
      to[target + byte] = bits;
    }
    pairFifth(to, target);
  }
  copy(from, block, 16, to, at[2]!);
}

function split6(from: Uint8Array, block: number, to: Uint8Array, at: readonly number[]): void {
  for (let unit = 0; unit < 8; unit++) {
    const [half, quarter] = [unit >> 2, unit % 4];
    const low = block + 64 * half + 32 * (quarter % 2);
    putNibbles(from, low, quarter < 2 ? 0 : 4, to, at[0]! + unit * step(16));
    const high = block + 128 + 32 * half;
    const target = at[1]! + unit * step(8);
    for (let byte = 0; byte < 8; byte++) {
      let pairs = 0;
      for (let i = 0; i < 4; i++) pairs |= ((from[high + 4 * byte + i]! >> (2 * quarter)) & 3) << (2 * i);
      to[target + byte] = pairs;
    }
    pairHigh(to, target);
    copy(from, block + 192 + 2 * unit, 2, to, at[2]! + unit * step(2));
  }
  copy(from, block + 208, 2, to, at[3]!);
}
