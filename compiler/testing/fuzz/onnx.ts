import { encodeOnnxModel } from "../../read/onnx-schema.js";
import type { Random } from "./random.js";

/** Bytes of an element by the numbers of types in onnx.proto; 0: of other sizes. */
const widths: Readonly<Record<number, number>> = {
  0: 0,
  1: 4,
  3: 1,
  7: 8,
  8: 0,
  9: 1,
  10: 2,
  11: 8,
  16: 2,
  22: 0,
};
const names = ["", "__proto__", "a\0b", "t0", "x".repeat(3000), "ä"];
const places = ["", ".", "..", "../x", "/etc/hostname", "missing", "a\0b", "x/../../y"];

interface TensorPiece {
  name: string;
  dims: number[];
  dataType: number;
  rawData?: Uint8Array;
  floatData?: number[];
  int32Data?: number[];
  dataLocation?: number;
  externalData?: { key: string; value: string }[];
}

/** An .onnx file that may be wrong in one or several places; about one in five is right. */
export function hostileOnnx(random: Random): Uint8Array {
  const tensors = Array.from({ length: 1 + random.below(4) }, (_, index) => goodTensor(random, `t${index}`));
  for (let changes = random.below(4); changes > 0; changes--) {
    const index = random.below(tensors.length);
    tensors[index] = hostileTensor(random.pick(tensors), random);
  }
  const output = { name: "y", type: { tensorType: { elemType: 1, shape: { dim: [{ dimValue: 1 }] } } } };
  const bytes = encodeOnnxModel({
    irVersion: 8,
    ...(random.oneIn(40)
      ? {}
      : {
          graph: {
            node: Array.from({ length: random.below(4) }, () => node(random)),
            output: random.oneIn(40) ? [] : [output],
            initializer: tensors,
          },
        }),
  });
  if (random.oneIn(60))
    return Buffer.from(random.pick(["", "<html>", "version https://git-lfs", "GGUF", "\x0b\x0c"]));
  return random.oneIn(8) ? random.bytes(bytes) : bytes;
}

function node(random: Random): object {
  return {
    name: random.pick(names),
    opType: random.pick(["Add", "Constant", "", "x"]),
    input: ["t0", random.pick(names)],
    output: ["y"],
    attribute: [
      {
        name: "value",
        type: random.below(12),
        t: goodTensor(random, ""),
        i: random.next(),
        s: Buffer.from("a"),
      },
    ],
  };
}

function goodTensor(random: Random, name: string): TensorPiece {
  const dataType = random.pick([1, 3, 7, 9, 10, 11, 16]);
  const dims = Array.from({ length: random.below(4) }, () => 1 + random.below(5));
  const elements = dims.reduce((product, length) => product * length, 1);
  const tensor = { name, dims, dataType };
  if (dataType === 1 && random.oneIn(3))
    return { ...tensor, floatData: new Array<number>(elements).fill(0.5) };
  if (dataType === 10 && random.oneIn(3))
    return { ...tensor, int32Data: new Array<number>(elements).fill(15360) };
  return { ...tensor, rawData: new Uint8Array(elements * widths[dataType]!) };
}

function hostileTensor(tensor: TensorPiece, random: Random): TensorPiece {
  const hostile = () => Number(BigInt.asIntN(64, random.size(BigInt(tensor.dims[0] ?? 1))));
  switch (random.below(6)) {
    case 0:
      return { ...tensor, dims: [...tensor.dims, hostile()] };
    case 1:
      return { ...tensor, dims: tensor.dims.map((size, axis) => (axis === 0 ? hostile() : size)) };
    case 2:
      return { ...tensor, dataType: random.pick(Object.keys(widths).map(Number)) };
    case 3:
      return { ...tensor, name: random.pick(names) };
    case 4:
      return { ...tensor, rawData: new Uint8Array(random.below(64)) };
    default:
      return {
        ...tensor,
        rawData: new Uint8Array(0),
        dataLocation: 1,
        externalData: [
          { key: "location", value: random.pick(places) },
          {
            key: "offset",
            value: random.pick(["0", "1", "-1", "99999999999999999999", "x", `${random.size(0n)}`]),
          },
          { key: random.pick(["length", "checksum"]), value: `${random.below(64)}` },
        ],
      };
  }
}
