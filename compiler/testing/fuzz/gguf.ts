import { entry, type GgufTensorPiece, ggufBytes, piece } from "../files.js";
import type { Random } from "./random.js";

const { u8, u32, u64, f32, string } = piece;

const types = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 30];
const blocks: Readonly<Record<number, readonly [elements: number, bytes: number]>> = {
  0: [1, 4],
  1: [1, 2],
  2: [32, 18],
  3: [32, 20],
  6: [32, 22],
  7: [32, 24],
  8: [32, 34],
  12: [256, 144],
  13: [256, 176],
  14: [256, 210],
  30: [1, 2],
};
const names = ["", "__proto__", "constructor", "a\0b", "a\nb", "t0", "x".repeat(3000), "\u2028", "ä"];

/** A GGUF file that may be wrong in one or several places; about one in ten is right. */
export function hostileGguf(random: Random): Uint8Array {
  const { tensors, size } = goodTensors(random);
  const entries = goodEntries(random);
  let alignment = 32;
  let [version, tensorCount, keyCount]: [number, bigint | undefined, bigint | undefined] = [
    3,
    undefined,
    undefined,
  ];
  let data = size;
  for (let changes = random.below(4); changes > 0; changes--) {
    switch (random.below(12)) {
      case 0:
        version = random.pick([0, 1, 2, 3, 4, 3 << 24, 2 ** 32 - 1]);
        break;
      case 1:
        tensorCount = random.size(BigInt(tensors.length));
        break;
      case 2:
        keyCount = random.size(BigInt(entries.length));
        break;
      case 3: {
        const value = Number(random.size(32n) & 0xffffffffn);
        entries.push(entry("general.alignment", random.pick([4, 4, 4, 8, 10]), u32(value)));
        if (value > 0 && value <= 4096) alignment = value;
        break;
      }
      case 4:
        data = Number(random.size(BigInt(size)) % 8192n);
        break;
      case 5:
      case 6:
        entries.splice(random.below(entries.length + 1), 0, hostileEntry(random));
        break;
      default:
        tensors[random.below(tensors.length)] = hostileTensor(random.pick(tensors), random);
    }
  }
  const counts = {
    ...(tensorCount !== undefined && { tensorCount }),
    ...(keyCount !== undefined && { keyCount }),
  };
  const magic = random.oneIn(50) ? random.pick(["FUGG", "GGML", "ggjt", "    "]) : "GGUF";
  const bytes = ggufBytes({
    magic,
    version,
    ...counts,
    entries,
    tensors,
    alignment,
    data: new Uint8Array(data),
  });
  return random.oneIn(8) ? random.bytes(bytes) : bytes;
}

function goodTensors(random: Random): { tensors: GgufTensorPiece[]; size: number } {
  const tensors: GgufTensorPiece[] = [];
  let size = 0;
  for (let count = 1 + random.below(4); count > 0; count--) {
    const type = random.pick(types);
    const [elements, bytes] = blocks[type]!;
    const ne = [
      elements * (1 + random.below(3)),
      ...Array.from({ length: random.below(3) }, () => 1 + random.below(3)),
    ];
    tensors.push({ name: `t${tensors.length}`, ne, type, offset: size });
    const stored = (ne.reduce((product, length) => product * length, 1) / elements) * bytes;
    size += Math.ceil(stored / 32) * 32;
  }
  return { tensors, size };
}

function goodEntries(random: Random): Uint8Array[] {
  const all = [
    entry("general.architecture", 8, string("llama")),
    entry("a.u32", 4, u32(random.next())),
    entry("a.f32", 6, f32(0.5)),
    entry("a.bool", 7, u8(1)),
    entry("a.strings", 9, Buffer.concat([u32(8), u64(2), string("ä"), string("")])),
    entry("a.numbers", 9, Buffer.concat([u32(6), u64(2), f32(1), f32(2)])),
  ];
  return all.filter(() => !random.oneIn(3));
}

function hostileEntry(random: Random): Uint8Array {
  const type = random.oneIn(2) ? 9 : random.below(15);
  const key = random.oneIn(3) ? random.pick(names) : `k${random.below(3)}`;
  switch (random.below(4)) {
    case 0:
      return entry(
        key,
        type,
        Buffer.concat([u32(random.below(15)), u64(random.size(2n)), u64(random.size(1n))]),
      );
    case 1:
      return entry(key, 8, Buffer.concat([u64(random.size(3n)), Buffer.from("abc")]));
    case 2:
      return entry(key, 8, Buffer.concat([u64(2), Buffer.from([0xff, 0xfe])]));
    default:
      return Buffer.concat([u64(random.size(2n)), Buffer.from(key), u32(type), u64(random.size(0n))]);
  }
}

function hostileTensor(tensor: GgufTensorPiece, random: Random): GgufTensorPiece {
  const ne = [...tensor.ne];
  switch (random.below(5)) {
    case 0:
      return { ...tensor, name: random.pick(names) };
    case 1:
      return { ...tensor, type: Number(random.size(BigInt(tensor.type)) & 0xffffffffn) };
    case 2:
      return { ...tensor, offset: random.size(BigInt(tensor.offset)) };
    case 3:
      ne[random.below(ne.length + 1)] = random.size(BigInt(ne[0] ?? 1));
      return { ...tensor, ne };
    default:
      return {
        ...tensor,
        ne: random.oneIn(2) ? [] : [...ne, ...Array.from({ length: random.below(6) }, () => 1)],
      };
  }
}
