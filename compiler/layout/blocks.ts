import { blockSizes, type DType } from "../ir/graph.js";
import { frontOf } from "./front.js";

/** Types whose rows a CPU's kernels read in blocks with scales: GGUF's, and those of quantised checkpoints. */
export type BlockType = Exclude<DType, "f32" | "f16" | "bf16">;

/** Rows of a tile of blocks; `kBlockRows` in templates/include/gsic/blocks.h. */
export const blockRows = 16;

/** Elements of a row in a step. */
const stepElements = 32;

interface BlockScales {
  /** Bits of an element in the planes. */
  readonly bits: 4 | 5 | 6 | 8;
  /** Bytes of a row's scales in front of a superblock, which is what the file calls a block. */
  readonly header: number;
  /** Bytes of a row's scales in front of each step of 32 elements. */
  readonly step: number;
}

/** As templates/include/gsic/blocks.h reads them. */
const scales: Readonly<Record<BlockType, BlockScales>> = {
  q4_0: { bits: 4, header: 2, step: 0 },
  q4_1: { bits: 4, header: 4, step: 0 },
  q5_0: { bits: 5, header: 2, step: 0 },
  q5_1: { bits: 5, header: 4, step: 0 },
  q8_0: { bits: 8, header: 2, step: 0 },
  q4_k: { bits: 4, header: 4, step: 2 },
  q5_k: { bits: 5, header: 4, step: 2 },
  q6_k: { bits: 6, header: 2, step: 2 },
  i4: { bits: 4, header: 4, step: 0 },
  i4_128: { bits: 4, header: 4, step: 0 },
  i8: { bits: 8, header: 4, step: 0 },
  f8: { bits: 8, header: 4, step: 0 },
  f8_128: { bits: 8, header: 4, step: 0 },
  nf4: { bits: 4, header: 4, step: 0 },
  fp4: { bits: 4, header: 4, step: 0 },
};

/** Whether a CPU's kernels read the type in blocks. */
export function isBlockType(dtype: DType): dtype is BlockType {
  return dtype in scales;
}

/** Byte offsets and sizes in a tile of sixteen rows. */
export function blockTile(dtype: BlockType, d: number) {
  const { bits, header, step } = scales[dtype];
  const steps = blockSizes[dtype].elements / stepElements;
  const headerBytes = header * blockRows;
  const scaleBytes = step * blockRows;
  const stepBytes = scaleBytes + (blockRows * stepElements * bits) / 8;
  const superBytes = headerBytes + steps * stepBytes;
  return {
    bits,
    steps,
    headerBytes,
    scaleBytes,
    stepBytes,
    superBytes,
    bytes: (d / blockSizes[dtype].elements) * superBytes,
  };
}

/**
 * Packs whole rows of a block type as they are stored into tiles of sixteen rows, one in each lane, as
 * templates/include/gsic/blocks.h reads them; missing rows of the last tile are zero. The result lies at the front of
 * `buffer` where that is given and large enough, else in new memory.
 */
export function packBlocks(dtype: BlockType, d: number, rows: Uint8Array, buffer?: Uint8Array): Uint8Array {
  const block = blockSizes[dtype];
  const blocks = d / block.elements;
  const count = rows.length / (blocks * block.bytes);
  const tile = blockTile(dtype, d);
  const packed = frontOf(buffer, Math.ceil(count / blockRows) * tile.bytes);
  packed.fill(0);
  const pack = packers[dtype];
  for (let row = 0; row < count; row++) {
    const lane = row % blockRows;
    let to = Math.floor(row / blockRows) * tile.bytes;
    for (let index = 0; index < blocks; index++, to += tile.superBytes) {
      pack(rows, (row * blocks + index) * block.bytes, packed, to, lane, tile);
    }
  }
  return packed;
}

/** Puts a stored block into a lane of the superblock that begins at `to`. */
type Packer = (
  from: Uint8Array,
  block: number,
  packed: Uint8Array,
  to: number,
  lane: number,
  tile: ReturnType<typeof blockTile>,
) => void;

/** Bytes of a plane that has one word of 32 bits a row. */
const wordPlane = 4 * blockRows;
/** Words of nibbles in a step, and nibbles in a word. */
const [words, nibbles] = [stepElements / 8, 8];

/** The element that nibble n of word w is. */
const elementAt = (w: number, n: number) => (n % 2) * 16 + 4 * w + (n >> 1);

/** A block of 32 elements: f16 scales, words of fifth bits if there are any, bytes of nibbles. */
function plain(scales: number, fifths: boolean): Packer {
  return (from, block, packed, to, lane, { headerBytes }) => {
    copyScales(from, block, scales, packed, to, lane);
    const quants = block + 2 * scales + (fifths ? 4 : 0);
    const planes = to + headerBytes;
    for (let i = 0; i < 16; i++) packed[planes + place(i, lane)] = from[quants + i]!;
    if (fifths) putFifths(packed, planes, lane, (i) => (from[quants - 4 + (i >> 3)]! >> (i & 7)) & 1);
  };
}

/** Two steps share 32 bytes, of which the first has the lower halves and the second the upper ones. */
function nibbled(fifths: boolean): Packer {
  return (from, block, packed, to, lane, { steps, headerBytes, stepBytes, scaleBytes }) => {
    copyScales(from, block, 2, packed, to, lane);
    for (let step = 0; step < steps; step++) {
      const at = to + headerBytes + step * stepBytes;
      const { scale, minimum } = sixBitScales(from, block + 4, step);
      packed[at + lane] = scale;
      packed[at + blockRows + lane] = minimum;
      const quants = block + (fifths ? 48 : 16) + 32 * (step >> 1);
      const planes = at + scaleBytes;
      putNibbles(from, quants, 4 * (step % 2), packed, planes, lane);
      if (fifths) putFifths(packed, planes, lane, (i) => (from[block + 16 + i]! >> step) & 1);
    }
  };
}

/** A word, and the elements of every step. */
const worded: Packer = (from, block, packed, to, lane, { bits, steps, headerBytes, stepBytes }) => {
  for (let i = 0; i < 4; i++) packed[to + 4 * lane + i] = from[block + i]!;
  const bytes = (stepElements * bits) / 8;
  for (let step = 0; step < steps; step++) {
    const quants = block + 4 + step * bytes;
    const planes = to + headerBytes + step * stepBytes;
    for (let i = 0; i < bytes; i++)
      packed[planes + (bits === 4 ? place(i, lane) : i * blockRows + lane)] = from[quants + i]!;
  }
};

const packers: Readonly<Record<BlockType, Packer>> = {
  q4_0: plain(1, false),
  q4_1: plain(2, false),
  q5_0: plain(1, true),
  q5_1: plain(2, true),
  q8_0: (from, block, packed, to, lane, { headerBytes }) => {
    copyScales(from, block, 1, packed, to, lane);
    for (let i = 0; i < stepElements; i++)
      packed[to + headerBytes + i * blockRows + lane] = from[block + 2 + i]!;
  },
  i4: worded,
  i4_128: worded,
  i8: worded,
  f8: worded,
  f8_128: worded,
  nf4: worded,
  fp4: worded,
  q4_k: nibbled(false),
  q5_k: nibbled(true),
  q6_k: (from, block, packed, to, lane, { steps, headerBytes, stepBytes, scaleBytes }) => {
    copyScales(from, block + 208, 1, packed, to, lane);
    for (let step = 0; step < steps; step++) {
      const at = to + headerBytes + step * stepBytes;
      for (let half = 0; half < 2; half++)
        packed[at + half * blockRows + lane] = from[block + 192 + 2 * step + half]!;
      const [half, quarter] = [step >> 2, step % 4];
      const planes = at + scaleBytes;
      putNibbles(from, block + 64 * half + 32 * (quarter % 2), quarter < 2 ? 0 : 4, packed, planes, lane);
      putSixths(from, block + 128 + 32 * half, 2 * quarter, packed, planes, lane);
    }
  },
};

/** Where byte i of four words of nibbles lies in the planes. */
const place = (i: number, lane: number) => (i >> 2) * wordPlane + lane * 4 + (i & 3);

/** f16 numbers one after another, each into its own run of sixteen rows. */
function copyScales(
  from: Uint8Array,
  at: number,
  count: number,
  packed: Uint8Array,
  to: number,
  lane: number,
): void {
  for (let i = 0; i < count; i++) {
    const target = to + (i * blockRows + lane) * 2;
    packed[target] = from[at + 2 * i]!;
    packed[target + 1] = from[at + 2 * i + 1]!;
  }
}

/** Scale and minimum of a step: 6 bits each, of which the last four steps have the upper two elsewhere. */
function sixBitScales(from: Uint8Array, at: number, step: number) {
  if (step < 4) return { scale: from[at + step]! & 63, minimum: from[at + 4 + step]! & 63 };
  const both = from[at + 4 + step]!;
  return {
    scale: (both & 15) | ((from[at + step - 4]! >> 6) << 4),
    minimum: (both >> 4) | ((from[at + step]! >> 6) << 4),
  };
}

/** 32 nibbles that lie at `shift` of 32 bytes. */
function putNibbles(
  from: Uint8Array,
  quants: number,
  shift: number,
  packed: Uint8Array,
  planes: number,
  lane: number,
): void {
  for (let i = 0; i < 16; i++) {
    const low = (from[quants + i]! >> shift) & 15;
    const high = (from[quants + 16 + i]! >> shift) & 15;
    packed[planes + place(i, lane)] = low | (high << 4);
  }
}

/** The fifth bits of 32 elements, which `bit` gives: that of nibble n of word w as bit 4 n + w. */
function putFifths(packed: Uint8Array, planes: number, lane: number, bit: (i: number) => number): void {
  const to = planes + words * wordPlane + 4 * lane;
  for (let n = 0; n < nibbles; n++) {
    let four = 0;
    for (let w = 0; w < words; w++) four |= bit(elementAt(w, n)) << w;
    packed[to + (n >> 1)]! |= four << (4 * (n & 1));
  }
}

/** The upper two bits of 32 elements, at `shift` of 32 bytes: those of nibble n of word w from bit 4 n + 2 (w mod 2) on. */
function putSixths(
  from: Uint8Array,
  high: number,
  shift: number,
  packed: Uint8Array,
  planes: number,
  lane: number,
): void {
  for (let word = 0; word < 2; word++) {
    const to = planes + (words + word) * wordPlane + 4 * lane;
    for (let n = 0; n < nibbles; n++) {
      let four = 0;
      for (let w = 0; w < 2; w++)
        four |= ((from[high + elementAt(2 * word + w, n)]! >> shift) & 3) << (2 * w);
      packed[to + (n >> 1)]! |= four << (4 * (n & 1));
    }
  }
}
