import { blockSizes, type DType } from "../ir.js";
import { tileRows } from "../schedule/layout.js";
import { tilePlanes, unitLayouts } from "../schedule/planes.js";

/**
 * Packs whole rows as they are stored into tiles of four rows, in planes, as templates/include/gsic/gpu/weights.h reads
 * them. `rows` holds complete rows; missing rows of the last tile and elements beyond d are zero.
 */
export function packPlanes(dtype: DType, d: number, rows: Uint8Array): Uint8Array {
  const block = blockSizes[dtype];
  const { elements, planes } = unitLayouts[dtype];
  const rowBytes = (d / block.elements) * block.bytes;
  const count = rows.length / rowBytes;
  const { bytes: tileBytes, begins } = tilePlanes(dtype, d);
  const packed = new Uint8Array(Math.ceil(count / tileRows) * tileBytes);
  const split = splitters[dtype];
  if (split === null) {
    interleaveRuns(rows, rowBytes, packed, tileBytes);
    return packed;
  }
  const put = (row: number, unit: number, plane: number, part: Uint8Array) => {
    const { bytes, units } = planes[plane]!;
    const tile = Math.floor(row / tileRows) * tileBytes + begins[plane]!;
    packed.set(part, tile + ((unit / units) * tileRows + (row % tileRows)) * bytes);
  };
  const unitsPerBlock = block.elements / elements;
  for (let row = 0; row < count; row++) {
    const stored = rows.subarray(row * rowBytes, (row + 1) * rowBytes);
    for (let index = 0; index * block.bytes < rowBytes; index++) {
      split(stored.subarray(index * block.bytes, (index + 1) * block.bytes), (unit, plane, part) =>
        put(row, index * unitsPerBlock + unit, plane, part),
      );
    }
  }
  return packed;
}

/** Bytes of a unit of the types whose units are runs of stored bytes. */
const runBytes = 16;

/** Types of one plane: the rows' runs of 16 bytes, interleaved; by words, since a call a run is slow. */
function interleaveRuns(rows: Uint8Array, rowBytes: number, packed: Uint8Array, tileBytes: number): void {
  const wide = rowBytes % 4 === 0 && rows.byteOffset % 4 === 0;
  const Words = wide ? Uint32Array : Uint8Array;
  const size = Words.BYTES_PER_ELEMENT;
  const from = new Words(rows.buffer as ArrayBuffer, rows.byteOffset, rows.length / size);
  const to = new Words(packed.buffer as ArrayBuffer, packed.byteOffset, packed.length / size);
  const [rowWords, run, tileWords] = [rowBytes / size, runBytes / size, tileBytes / size];
  for (let row = 0; row * rowWords < from.length; row++) {
    const source = row * rowWords;
    let target = Math.floor(row / tileRows) * tileWords + (row % tileRows) * run;
    for (let begin = 0; begin < rowWords; begin += run, target += tileRows * run) {
      const length = Math.min(run, rowWords - begin);
      for (let i = 0; i < length; i++) to[target + i] = from[source + begin + i]!;
    }
  }
}

/** Receives what a unit of a block has in a plane. */
type Put = (unit: number, plane: number, part: Uint8Array) => void;
type Splitter = (block: Uint8Array, put: Put) => void;

/** Takes runs of a block of one unit to planes in order: [begin, end] of each. */
function runs(...places: readonly (readonly [begin: number, end: number])[]): Splitter {
  return (block, put) => {
    for (const [plane, [begin, end]] of places.entries()) put(0, plane, block.subarray(begin, end));
  };
}

/** How a stored block becomes planes; null where a unit is a run of stored bytes. The blocks are GGUF's. */
const splitters: Readonly<Record<DType, Splitter | null>> = {
  f32: null,
  f16: null,
  bf16: null,
  q8_0: runs([2, 18], [18, 34], [0, 2]),
  q4_0: runs([2, 18], [0, 2]),
  q4_1: runs([4, 20], [0, 4]),
  q5_0: runs([6, 22], [2, 6], [0, 2]),
  q5_1: runs([8, 24], [4, 8], [0, 4]),
  q4_k: (block, put) => splitK(block, put, false),
  q5_k: (block, put) => splitK(block, put, true),
  q6_k: split6,
};

/** 32 four-bit numbers in 16 bytes: the first 16 in the low halves. */
function nibblesOf(value: (element: number) => number): Uint8Array {
  return Uint8Array.from({ length: 16 }, (_, i) => (value(i) & 15) | ((value(16 + i) & 15) << 4));
}

function splitK(block: Uint8Array, put: Put, fifthBits: boolean): void {
  const quants = block.subarray(fifthBits ? 48 : 16);
  for (let unit = 0; unit < 8; unit++) {
    const begin = 32 * (unit >> 1);
    put(
      unit,
      0,
      nibblesOf((i) => quants[begin + i]! >> (4 * (unit % 2))),
    );
    if (!fifthBits) continue;
    const bits = new Uint8Array(4);
    for (let i = 0; i < 32; i++) bits[i >> 3]! |= ((block[16 + i]! >> unit) & 1) << (i & 7);
    put(unit, 1, bits);
  }
  put(0, fifthBits ? 2 : 1, block.subarray(0, 16));
}

function split6(block: Uint8Array, put: Put): void {
  for (let unit = 0; unit < 8; unit++) {
    const [half, quarter] = [unit >> 2, unit % 4];
    const low = block.subarray(64 * half + 32 * (quarter % 2));
    put(
      unit,
      0,
      nibblesOf((i) => low[i]! >> (quarter < 2 ? 0 : 4)),
    );
    const high = new Uint8Array(8);
    for (let i = 0; i < 32; i++) {
      high[i >> 2]! |= ((block[128 + 32 * half + i]! >> (2 * quarter)) & 3) << (2 * (i & 3));
    }
    put(unit, 1, high);
    put(unit, 2, block.subarray(192 + 2 * unit, 194 + 2 * unit));
  }
  put(0, 3, block.subarray(208, 210));
}
