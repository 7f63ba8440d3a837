import { frontOf } from "./front.js";
import { roundUp } from "./stride.js";
import { maxRunRows, packing, packRows, tileRows } from "./tiles.js";

/** Codes of a strip, each for an upper byte of its weights. */
const codes = 16;
/** Bytes of a block of four rows, coded and as tiles.ts packs it. */
const [codedBlock, plainBlock] = [192, 256];
/** Weights of a block of a tile. */
const blockElements = 32;
/** Most tiles of a group, which is a run of rows that is packed by itself. */
const groupTiles = maxRunRows / tileRows;

/** Most rare weights of a run, which two bytes count. */
export const mostRare = 65535;

/** How a matrix of bf16 is packed in twelve bits a weight; templates/include/gsic/coded.h describes what lies where. */
function codedGroup(d: number, rare: number) {
  const { blocks, segmentBlocks } = packing("bf16", 0, d);
  const strips = groupTiles * Math.ceil(blocks / segmentBlocks);
  const ends = codes * strips;
  const places = ends + 2 * strips;
  const uppers = places + 2 * rare;
  return { blocks, segmentBlocks, ends, places, uppers, header: roundUp(uppers + rare, 64) };
}

/** Bytes of a coded matrix of which every run of rows has room for so many rare weights. */
export function codedBytes(out: number, d: number, rare: number): number {
  const { blocks, header } = codedGroup(d, rare);
  return Math.ceil(out / maxRunRows) * header + Math.ceil(out / tileRows) * blocks * codedBlock;
}

/** How many weights of a run of rows of bf16, as they are stored, have an upper byte that is not among their strip's codes. */
export function rareWeights(d: number, rows: Uint8Array): number {
  const { blocks, segmentBlocks } = packing("bf16", 0, d);
  const count = rows.length / (2 * d);
  const found = new Uint32Array(256);
  let rare = 0;
  for (let tile = 0; tile < count; tile += tileRows) {
    const end = Math.min(tile + tileRows, count);
    for (let segment = 0; segment < blocks; segment += segmentBlocks) {
      const [first, last] = [segment, Math.min(segment + segmentBlocks, blocks)].map(
        (block) => block * blockElements,
      ) as [number, number];
      found.fill(0);
      for (let row = tile; row < end; row++) {
        const to = 2 * (row * d + Math.min(last, d));
        for (let place = 2 * (row * d + first) + 1; place < to; place += 2) found[rows[place]!]!++;
      }
      const present = (end - tile) * (Math.min(last, d) - first);
      found[0]! += tileRows * (last - first) - present;
      const all = commonest(found);
      for (let i = codes; i < all.length; i++) rare += found[all[i]!]!;
    }
  }
  return rare;
}

/** The bytes that were found, the commonest first. */
function commonest(found: Uint32Array): number[] {
  const present: number[] = [];
  for (let byte = 0; byte < found.length; byte++) if (found[byte]! > 0) present.push(byte);
  return present.length <= codes ? present : present.sort((a, b) => found[b]! - found[a]! || a - b);
}

/**
 * Packs whole rows of bf16 in twelve bits a weight; all but a matrix's last ones are whole runs. The result lies at the
 * front of `buffer` where that is given and large enough. That a run has more rare weights than room is a defect.
 */
export function packCoded(d: number, rare: number, rows: Uint8Array, buffer?: Uint8Array): Uint8Array {
  const count = rows.length / (2 * d);
  const packed = frontOf(buffer, codedBytes(count, d, rare));
  packed.fill(0);
  const { header, blocks } = codedGroup(d, rare);
  const runBytes = 2 * d * maxRunRows;
  for (let from = 0, to = 0; from < rows.length; from += runBytes) {
    const run = rows.subarray(from, Math.min(from + runBytes, rows.length));
    const tiles = Math.ceil(run.length / (2 * d) / tileRows);
    const bytes = header + tiles * blocks * codedBlock;
    codeGroup(d, rare, packRows("bf16", d, run), packed.subarray(to, to + bytes));
    to += bytes;
  }
  return packed;
}

/** Codes a group, strip by strip; `plain` holds its strips as tiles.ts packs them. */
function codeGroup(d: number, rare: number, plain: Uint8Array, group: Uint8Array): void {
  const { blocks, segmentBlocks, ends, places, uppers, header } = codedGroup(d, rare);
  const tiles = plain.length / (blocks * plainBlock);
  const codeOf = new Int16Array(256);
  const found = new Uint32Array(256);
  let [from, to, listed] = [0, header, 0];
  for (let segment = 0, number = 0; segment < blocks; segment += segmentBlocks) {
    const stripBlocks = Math.min(segmentBlocks, blocks - segment);
    for (let tile = 0; tile < groupTiles; tile++, number++) {
      if (tile < tiles) {
        const strip = plain.subarray(from, from + stripBlocks * plainBlock);
        found.fill(0);
        for (let i = 1; i < strip.length; i += 2) found[strip[i]!]!++;
        const table = commonest(found).slice(0, codes);
        group.set(table, codes * number);
        codeOf.fill(-1);
        table.forEach((byte, code) => {
          codeOf[byte] = code;
        });
        for (const place of codeStrip(strip, codeOf, group.subarray(to, to + stripBlocks * codedBlock))) {
          if (listed === rare) throw new Error(`a run has more than ${rare} rare weights`);
          group[places + 2 * listed] = place & 255;
          group[places + 2 * listed + 1] = place >> 8;
          group[uppers + listed++] = strip[place]!;
        }
        from += strip.length;
        to += stripBlocks * codedBlock;
      }
      group[ends + 2 * number] = listed & 255;
      group[ends + 2 * number + 1] = listed >> 8;
    }
  }
}

/** Codes a strip into zeros; returns where the upper bytes lie that have no code. */
function codeStrip(plain: Uint8Array, codeOf: Int16Array, coded: Uint8Array): number[] {
  const rare: number[] = [];
  for (let from = 0, block = 0; from < plain.length; block += codedBlock) {
    for (let row = 0; row < tileRows; row++) {
      const half = row >> 1;
      const lower = block + 64 + 64 * half;
      const shift = 4 * half;
      for (let element = 0; element < blockElements; element++, from += 2) {
        // Eight of a row's bytes, and eight of the next row's.
        const place = ((element >> 3) << 4) + ((row & 1) << 3) + (element & 7);
        const code = codeOf[plain[from + 1]!]!;
        coded[lower + place] = plain[from]!;
        if (code < 0) rare.push(from + 1);
        else coded[block + place]! |= code << shift;
      }
    }
  }
  return rare;
}
