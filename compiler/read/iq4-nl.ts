import type { GgufType } from "./gguf-types.js";

/** The values that IQ4_NL's levels stand for; a block's scale multiplies them. */
const levels = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113] as const;

/** Bytes of a block of 32 elements: an f16 scale, and nibbles as Q4_0 has them; and of the same block in Q8_0. */
const [blockBytes, wideBytes] = [18, 34];

/** What blocks of so many bytes take when they are widened. */
export function widenedBytes(bytes: number): number {
  return (bytes / blockBytes) * wideBytes;
}

/** Bytes `begin` to `end` of widened blocks; `read` gives the file's between two places. */
export function readWidened(
  read: (begin: number, end: number) => Uint8Array,
  begin: number,
  end: number,
): Uint8Array {
  const [first, last] = [Math.floor(begin / wideBytes), Math.ceil(end / wideBytes)];
  const wide = widenIq4Nl(read(first * blockBytes, last * blockBytes));
  return wide.subarray(begin - first * wideBytes, end - first * wideBytes);
}

/** Blocks of a type as gsic keeps them: of IQ4_NL those of Q8_0. */
export function keptBlocks(type: GgufType, bytes: Uint8Array): Uint8Array {
  return type === "iq4_nl" ? widenIq4Nl(bytes) : bytes;
}

/** Blocks of IQ4_NL as blocks of Q8_0, exactly: both have an f16 scale, and the levels are integers of 8 bits. */
export function widenIq4Nl(bytes: Uint8Array): Uint8Array {
  const blocks = bytes.length / blockBytes;
  const wide = new Uint8Array(blocks * wideBytes);
  for (let block = 0; block < blocks; block++) {
    const [from, to] = [block * blockBytes, block * wideBytes];
    wide[to] = bytes[from]!;
    wide[to + 1] = bytes[from + 1]!;
    for (let i = 0; i < 16; i++) {
      const byte = bytes[from + 2 + i]!;
      wide[to + 2 + i] = levels[byte & 15]!;
      wide[to + 18 + i] = levels[byte >> 4]!;
    }
  }
  return wide;
}
