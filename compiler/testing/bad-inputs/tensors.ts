import { build } from "../../build.js";
import { GsicError } from "../../support/errors.js";
import { silent } from "../../support/progress.js";
import { type GgufTensorPiece, ggufBytes, safetensorsBytes } from "../files.js";
import { type BadCase, bad, gguf, opened, type Scratch, safetensors } from "./case.js";

const bytes = (count: number) => new Uint8Array(count);
const f32 = (shape: number[], begin: number, end: number) => ({
  dtype: "F32",
  shape,
  data_offsets: [begin, end],
});
const one = (tensor: unknown, data = 4) => safetensors(safetensorsBytes({ a: tensor }, bytes(data)));
const two = (a: unknown, b: unknown, data: number) => safetensors(safetensorsBytes({ a, b }, bytes(data)));
const packed = (change: Partial<GgufTensorPiece>, data = 64) =>
  gguf(ggufBytes({ tensors: [{ name: "a", ne: [16], type: 0, offset: 0, ...change }], data: bytes(data) }));
const pair = (offset: number) =>
  gguf(
    ggufBytes({
      tensors: [
        { name: "a", ne: [16], type: 0, offset: 0 },
        { name: "b", ne: [16], type: 0, offset },
      ],
      data: bytes(256),
    }),
  );
const a = '@/model.safetensors: tensor "a"';
const b = '@/model.safetensors: tensor "b"';

/** A model of one matrix [1, n]. */
const values = (data: Float32Array) => (scratch: Scratch) => {
  scratch.write("config.json", "{}");
  const header = { a: f32([1, data.length], 0, data.byteLength) };
  scratch.write("model.safetensors", safetensorsBytes(header, new Uint8Array(data.buffer)));
  return opened(scratch.folder);
};

/** One block of Q8_0 with a scale of these bits. */
function block(scale: number): Uint8Array {
  const data = Buffer.alloc(34, 1);
  data.writeUInt16LE(scale, 0);
  return ggufBytes({ tensors: [{ name: "a", ne: [32], type: 8, offset: 0 }], data });
}

/** A build whose first warning ends it. */
async function warned(scratch: Scratch): Promise<unknown> {
  const folder = scratch.model("gpt2-f32");
  const { readFileSync } = await import("node:fs");
  const file = readFileSync(`${folder}/model.safetensors`);
  const header = JSON.parse(file.toString("utf8", 8, 8 + Number(file.readBigUInt64LE()))) as Record<
    string,
    { data_offsets: [number, number] }
  >;
  const [begin, end] = header["transformer.wpe.weight"]!.data_offsets;
  const start = 8 + Number(file.readBigUInt64LE());
  file.fill(0, start + begin, start + end);
  scratch.write("model/model.safetensors", file);
  const input = scratch.write("model.toml", '[model]\nname = "m"\nsource = "model"\n');
  const warn = (message: string) => {
    throw new GsicError({ category: "data", code: "warned", message, where: input, hint: "it goes on" });
  };
  return build({ input, out: scratch.path("out"), progress: { ...silent, warn } });
}

/** Cases 27 to 36: what tensors are. */
export const tensorCases: readonly BadCase[] = [
  bad(27, "nine, safetensors", one(f32([1, 1, 1, 1, 1, 1, 1, 1, 1], 0, 4)), "safetensors-tensor", a),
  bad(27, "five, GGUF", packed({ ne: [1, 1, 1, 1, 1] }), "tensor-shape", '@/model.gguf: tensor "a": byte 33'),
  bad(27, "none, GGUF", packed({ ne: [] }), "tensor-shape", '@/model.gguf: tensor "a": byte 33'),
  bad(28, "safetensors", one(f32([0], 0, 0), 0), "tensor-empty", a),
  bad(28, "GGUF", packed({ ne: [0] }), "tensor-empty", '@/model.gguf: tensor "a": byte 33'),
  bad(29, "2^64", one(f32([2 ** 32, 2 ** 32], 0, 4)), "size-overflow", a),
  bad(29, "behind a zero", one(f32([0, 2 ** 32, 2 ** 32], 0, 0), 0), "size-overflow", a),
  bad(29, "2^54 bytes", one(f32([2 ** 52], 0, 4)), "size-overflow", a),
  bad(
    29,
    "GGUF",
    packed({ ne: [1n << 32n, 1n << 32n] }),
    "size-overflow",
    '@/model.gguf: tensor "a": byte 24',
  ),
  bad(30, "GGUF, end", packed({ offset: 2n ** 53n - 32n }), "size-overflow", '@/model.gguf: tensor "a"'),
  bad(30, "GGUF, offset of 2^63", packed({ offset: 1n << 63n }), "size-overflow", "@/model.gguf: byte 49"),
  bad(31, "a hole at the start", one(f32([1], 4, 8), 8), "tensor-layout", `${a}: byte 66`),
  bad(31, "a hole", two(f32([1], 0, 4), f32([1], 8, 12), 12), "tensor-layout", `${b}: byte 124`),
  bad(31, "an overlap", two(f32([2], 0, 8), f32([1], 4, 8), 8), "tensor-layout", `${b}: byte 119`),
  bad(
    31,
    "past the end",
    one(f32([1000], 0, 4000), 8),
    "safetensors-truncated",
    "@/model.safetensors: byte 76",
  ),
  bad(31, "GGUF, a hole", pair(96), "tensor-layout", '@/model.gguf: tensor "b": byte 192'),
  bad(31, "GGUF, an overlap", pair(32), "tensor-layout", '@/model.gguf: tensor "b": byte 128'),
  bad(
    31,
    "GGUF, misaligned",
    packed({ ne: [8], offset: 16 }),
    "tensor-layout",
    '@/model.gguf: tensor "a": byte 80',
  ),
  bad(
    31,
    "GGUF, past the end",
    packed({ offset: 1 << 20 }),
    "tensor-layout",
    '@/model.gguf: tensor "a": byte 1048640',
  ),
  bad(32, "safetensors", one({ ...f32([1], 0, 4), dtype: "F33" }), "tensor-type", a),
  bad(
    32,
    "GGUF, unknown",
    packed({ ne: [32], type: 99 }),
    "tensor-type",
    '@/model.gguf: tensor "a": byte 45',
  ),
  bad(
    32,
    "GGUF, removed",
    packed({ ne: [32], type: 4 }),
    "tensor-type",
    '@/model.gguf: tensor "a": byte 45',
    { says: ["Q4_2 (removed"] },
  ),
  bad(
    32,
    "GGUF, not read",
    packed({ ne: [256], type: 11 }),
    "tensor-type",
    '@/model.gguf: tensor "a": byte 45',
    { says: ["Q3_K", "llama-quantize"] },
  ),
  bad(33, "GGUF", packed({ ne: [33], type: 8 }), "tensor-row-block", '@/model.gguf: tensor "a": byte 24'),
  bad(
    33,
    "GGUF, across rows",
    packed({ ne: [16, 2], type: 8 }),
    "tensor-row-block",
    '@/model.gguf: tensor "a": byte 24',
  ),
  bad(33, "half a byte", one({ dtype: "F4", shape: [3], data_offsets: [0, 2] }, 2), "tensor-row-block", a),
  bad(34, "too long", one(f32([2], 0, 4)), "tensor-size", a),
  bad(34, "too short", one(f32([1], 0, 8), 8), "tensor-size", a),
  bad(35, "NaN", values(Float32Array.of(1, Number.NaN)), "weights-not-finite", `${a}: byte 68`, {
    says: ["element 1: NaN"],
  }),
  bad(
    35,
    "infinity",
    values(Float32Array.of(1, 2, Number.NEGATIVE_INFINITY)),
    "weights-not-finite",
    `${a}: byte 73`,
  ),
  bad(
    35,
    "a scale",
    (s) => opened(s.write("m.gguf", block(0x7c00))),
    "weights-not-finite",
    '@/m.gguf: tensor "a": byte 64',
  ),
  bad(36, "zeros", warned, "warned", "@/model.toml", { says: ['"transformer.wpe.weight" are equal'] }),
];
