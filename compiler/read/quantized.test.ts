import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import type { GsicError } from "../support/errors.js";
import { safetensorsBytes, temporaryFolder } from "../testing/files.js";
import { e4m3Values } from "./quantized-matrix.js";
import { Weights } from "./weights.js";

const home = temporaryFolder();
afterAll(() => {
  for (const folder of folders) folder.remove();
});

const fixtures = join(import.meta.dirname, "../models/fixtures");
type Json = Record<string, unknown>;
type Tensor = readonly [name: string, dtype: string, shape: readonly number[], data: Uint8Array];

const folders: { remove: () => void }[] = [home];
/** The weights of a folder with a quantization_config and these tensors. */
async function opened(settings: Json | undefined, tensors: readonly Tensor[]): Promise<Weights> {
  const folder = temporaryFolder();
  folders.push(folder);
  folder.write("config.json", JSON.stringify({ quantization_config: settings }));
  let end = 0;
  const entries = tensors.map(([name, dtype, shape, { length }]) => {
    end += length;
    return [name, { dtype, shape, data_offsets: [end - length, end] }] as const;
  });
  const data = Buffer.concat(tensors.map(([, , , bytes]) => bytes));
  folder.write("model.safetensors", safetensorsBytes(Object.fromEntries(entries), data));
  return Weights.open(folder.path);
}

async function refusal(open: Promise<Weights>): Promise<GsicError> {
  const error = await open.then(
    () => undefined,
    (error: GsicError) => error,
  );
  expect(error?.category).toBe("data");
  expect(error?.hint).toBeTruthy();
  return error!;
}

const bytes = (list: ArrayBufferView) =>
  new Uint8Array(list.buffer as ArrayBuffer, list.byteOffset, list.byteLength);
const words = (...list: number[]) => bytes(Uint32Array.from(list));
const floats = (...list: number[]) => bytes(Float32Array.from(list));

/** All of a matrix, [out, d]. */
function valuesOf(weights: Weights, tensor: string): number[] {
  const { dtype, shape } = weights.require(tensor);
  const [out, d] = shape as [number, number];
  const rows = weights.readRows({ tensor, dtype, out, d, transposed: false, first: 0 }, 0, out);
  weights.close();
  return [...rows];
}

describe("weights by the formats' definitions", () => {
  test("GPTQ: packed along inputs, zeros less 1, groups by g_idx", async () => {
    // Two numbers of 8 bits of each group; inputs 0 and 3 are of group 1.
    const weights = await opened({ quant_method: "gptq", bits: 8, group_size: 2, desc_act: true }, [
      ["x.qweight", "I32", [1, 4], words(0x04030201, 0x14131211, 0, 0xffffffff)],
      ["x.qzeros", "I32", [2, 1], words(0x01000000, 0x09090909)],
      ["x.scales", "F32", [2, 4], floats(1, 2, 3, 4, 0.5, 0.25, 1, 1)],
      ["x.g_idx", "I32", [4], words(1, 0, 0, 1)],
    ]);
    expect(weights.names()).toEqual(["x.weight"]);
    expect(weights.ignored.size).toBe(0);
    const zeroed = [
      ...[-4.5, 1, 2, -3],
      ...[1.75, 34, 36, 2.5],
      ...[-10, -3, -3, -10],
      ...[245, 1012, 1012, 245],
    ];
    expect(valuesOf(weights, "x.weight")).toEqual(zeroed);
  });

  test("AWQ: outputs 0, 2, 4, 6, 1, 3, 5, 7 from the lowest bits on", async () => {
    const weights = await opened({ quant_method: "awq", bits: 4, group_size: -1, version: "GEMM" }, [
      ["x.qweight", "I32", [1, 1], words(0x75316420)],
      ["x.qzeros", "I32", [1, 1], words(0x00000002)],
      ["x.scales", "F32", [1, 8], floats(1, 1, 1, 1, 1, 1, 1, 2)],
    ]);
    expect(valuesOf(weights, "x.weight")).toEqual([-2, 1, 2, 3, 4, 5, 6, 14]);
  });

  test("int8 with zeros, and FP8 with a scale a tensor, whatever activations they are made for", async () => {
    const scheme = { num_bits: 8, type: "int", strategy: "channel" };
    const settings = {
      quant_method: "compressed-tensors",
      format: "int-quantized",
      config_groups: { one: { weights: scheme, input_activations: { num_bits: 8, dynamic: true } } },
    };
    const weights = await opened(settings, [
      ["x.weight", "I8", [2, 2], Uint8Array.of(1, 0xff, 0x80, 0x7f)],
      ["x.weight_scale", "F32", [2, 1], floats(2, 0.5)],
      ["x.weight_zero_point", "I8", [2, 1], Uint8Array.of(3, 0xff)],
    ]);
    expect(valuesOf(weights, "x.weight")).toEqual([-4, -8, -63.5, 64]);
    const eight = await opened({ quant_method: "fp8", weight_block_size: null }, [
      ["x.weight", "F8_E4M3", [1, 4], Uint8Array.of(0x38, 0xb8, 0x7e, 0x01)],
      ["x.weight_scale_inv", "F32", [], floats(2)],
    ]);
    expect(valuesOf(eight, "x.weight")).toEqual([2, -2, 896, 2 ** -8]);
    expect(e4m3Values.filter((value) => Number.isNaN(value))).toHaveLength(2);
  });

  test("any part of a matrix is the same bytes as that part of the whole", async () => {
    const weights = await Weights.open(join(fixtures, "qwen2-gptq"));
    const name = "model.layers.1.mlp.down_proj.weight";
    const { bytes, shape } = weights.require(name);
    expect(shape).toEqual([64, 128]);
    const whole = weights.readBytes(name, 0, bytes);
    for (const [begin, end] of [
      [0, 0],
      [1, 6],
      [510, 515],
      [bytes - 3, bytes],
    ] as const)
      expect(weights.readBytes(name, begin, end)).toEqual(whole.slice(begin, end));
    weights.close();
  });
});

describe("weights keep their few bits where groups of them fill blocks", () => {
  test.each([
    ["llama-gptq", "model.layers.0.self_attn.q_proj", "i4"],
    ["qwen2-gptq", "model.layers.0.self_attn.q_proj", "i4"],
    ["gpt2-gptq", "transformer.h.0.attn.c_attn", "i8"],
    ["mistral-awq", "model.layers.0.mlp.down_proj", "i4"],
    ["qwen3-compressed", "model.layers.1.mlp.down_proj", "i4_128"],
    ["qwen3-compressed", "model.layers.0.self_attn.o_proj", "i8"],
    ["qwen3-compressed", "model.layers.0.mlp.gate_proj", "f32"],
    ["qwen3-compressed", "model.layers.0.mlp.up_proj", "f8"],
    ["qwen3-compressed", "model.layers.0.mlp.down_proj", "f8_128"],
    ["llama-fp8", "model.layers.0.mlp.down_proj", "f8"],
    ["llama-nf4", "model.layers.0.mlp.gate_proj", "nf4"],
    ["llama-fp4", "model.layers.0.mlp.gate_proj", "fp4"],
  ] as const)("%s: %s", async (fixture, linear, dtype) => {
    const weights = await Weights.open(join(fixtures, fixture));
    expect(weights.require(`${linear}.weight`).dtype).toBe(dtype);
    const widened = [...weights.widened().values()].flat();
    expect(widened.includes(`${linear}.weight`)).toBe(dtype === "f32");
    weights.close();
  });

  test("why the others take 32 bits a weight", async () => {
    const weights = await Weights.open(join(fixtures, "qwen3-compressed"));
    const gates = [0, 1].map((layer) => `model.layers.${layer}.mlp.gate_proj.weight`);
    expect([...weights.widened()]).toEqual([["groups of 48 inputs are no multiple of 32", gates]]);
    weights.close();
  });
});

test("act-order with a smaller last group keeps its columns group by group", async () => {
  const [out, d, size] = [8, 96, 64];
  const index = Array.from({ length: d }, (_, input) => Number(input % 3 === 2));
  const codes = Array.from({ length: (d / 8) * out }, (_, at) =>
    Math.floor(at / out) % 2 === 0 ? 0x76543210 : 0xfedcba98,
  );
  const settings = { quant_method: "gptq", bits: 4, group_size: size, checkpoint_format: "gptq_v2" };
  const weights = await opened(settings, [
    ["x.qweight", "I32", [d / 8, out], words(...codes)],
    ["x.qzeros", "I32", [2, 1], words(0, 0)],
    ["x.scales", "F16", [2, out], words(...Array(4).fill(0x3c003c00), ...Array(4).fill(0x40004000))],
    ["x.g_idx", "I32", [d], words(...index)],
  ]);
  expect(weights.require("x.weight").dtype).toBe("i4");
  const row = index.map((group, input) => (input % 16) * (group + 1));
  expect(valuesOf(weights, "x.weight")).toEqual(Array.from({ length: out }, () => row).flat());
});

/** Fixture, change of its quantization_config, and what the error names. */
const unsupported: readonly (readonly [string, Json, string])[] = [
  ["llama-gptq", { quant_method: "hqq" }, "quant_method"],
  ["llama-gptq", { quant_method: "aqlm" }, "quant_method"],
  ["llama-gptq", { quant_method: "auto-round" }, "quant_method"],
  ["llama-gptq", { quant_method: 3 }, "quant_method"],
  ["llama-gptq", { bits: 3 }, "bits"],
  ["llama-gptq", { checkpoint_format: "marlin" }, "checkpoint_format"],
  ["llama-gptq", { is_marlin_format: true }, "is_marlin_format"],
  ["llama-gptq", { pack_dtype: "int16" }, "pack_dtype"],
  ["llama-gptq", { group_size: "all" }, "group_size"],
  ["mistral-awq", { version: "gemv" }, "version"],
  ["mistral-awq", { bits: 8 }, "bits"],
  ["qwen3-compressed", { format: "nvfp4-pack-quantized" }, "format"],
  ["qwen3-compressed", { format: "marlin-24" }, "format"],
  ["qwen3-compressed", { kv_cache_scheme: { num_bits: 8 } }, "kv_cache_scheme"],
  ["qwen3-compressed", { sparsity_config: { format: "sparse-bitmask" } }, "sparsity_config.format"],
  ["qwen3-compressed", { transform_config: { config_groups: {} } }, "transform_config"],
  ["qwen3-compressed", { config_groups: { one: { weights: { num_bits: 3, type: "int" } } } }, "num_bits"],
  ["qwen3-compressed", { config_groups: { one: { weights: { num_bits: 4, type: "float" } } } }, "num_bits"],
  ["llama-fp8", { fmt: "e5m2" }, "fmt"],
  ["llama-fp8", { weight_block_size: [32] }, "weight_block_size"],
  ["llama-nf4", { load_in_4bit: false }, "load_in_8bit"],
];

describe("what gsic does not read is refused by its name", () => {
  test.each(unsupported)("%s: %j", async (fixture, change, key) => {
    const folder = join(home.path, `${fixture}-${key}-${JSON.stringify(change).length}`);
    cpSync(join(fixtures, fixture), folder, { recursive: true });
    const file = join(folder, "config.json");
    const config = JSON.parse(readFileSync(file, "utf8"));
    Object.assign(config.quantization_config, change);
    writeFileSync(file, JSON.stringify(config));
    const error = await refusal(Weights.open(folder));
    expect(error.code).toBe("quantization-unsupported");
    expect(error.where).toContain("config.json: quantization_config");
    expect(error.where?.endsWith(`.${key}`)).toBe(true);
    expect(error.message).toContain(key.split(".").at(-1));
  });
});

const gptq = { quant_method: "gptq", bits: 4, group_size: 8 };
const qweight: Tensor = ["x.qweight", "I32", [2, 8], new Uint8Array(64)];
const qzeros: Tensor = ["x.qzeros", "I32", [2, 1], new Uint8Array(8)];
const scales: Tensor = ["x.scales", "F16", [2, 8], new Uint8Array(32)];

test("AutoRound's own files: what it writes instead", async () => {
  const error = await refusal(
    opened({ quant_method: "intel/auto-round", bits: 4 }, [qweight, qzeros, scales]),
  );
  expect(error.hint).toContain("--format auto_gptq");
});

test("weights may be plain where compressed-tensors says that they are", async () => {
  const plain: Tensor = ["x.weight", "F32", [1, 2], floats(1, 2)];
  const weights = await opened({ quant_method: "compressed-tensors", format: "dense" }, [plain]);
  expect(valuesOf(weights, "x.weight")).toEqual([1, 2]);
});

const contradicting: readonly (readonly [string, Json | undefined, readonly Tensor[], string, string])[] = [
  ["scales are missing", gptq, [qweight, qzeros], "quantized-tensor", "x.scales is missing"],
  [
    "scales of integers",
    gptq,
    [qweight, qzeros, ["x.scales", "I32", [2, 4], new Uint8Array(32)]],
    "quantized-tensor",
    "F16 or BF16",
  ],
  [
    "scales of too many groups",
    gptq,
    [qweight, qzeros, ["x.scales", "F16", [5, 8], new Uint8Array(80)]],
    "quantized-tensor",
    "groups of 16",
  ],
  [
    "too few zeros",
    gptq,
    [qweight, scales, ["x.qzeros", "I32", [1, 1], new Uint8Array(4)]],
    "quantized-tensor",
    "[2, 1] is needed",
  ],
  [
    "five bits",
    gptq,
    [qweight, qzeros, scales, ["x.g_idx", "I32", [13], new Uint8Array(52)]],
    "quantized-tensor",
    "2, 4 or 8 bits",
  ],
  [
    "plain weights",
    gptq,
    [["x.weight", "F32", [2, 8], new Uint8Array(64)]],
    "quantization-plain",
    "no tensor is called <linear>.qweight",
  ],
  ["no declaration", undefined, [qweight, qzeros, scales], "quantization-undeclared", "x.qweight"],
  [
    "a shape of other rows",
    {
      quant_method: "compressed-tensors",
      format: "pack-quantized",
      config_groups: { g: { weights: { num_bits: 4 } } },
    },
    [
      ["x.weight_shape", "I64", [2], words(3, 0, 8, 0)],
      ["x.weight_packed", "I32", [2, 1], new Uint8Array(8)],
      ["x.weight_scale", "F16", [2, 1], new Uint8Array(4)],
    ],
    "quantized-tensor",
    "3 rows",
  ],
  [
    "blocks of another size",
    { quant_method: "fp8", weight_block_size: [2, 2] },
    [
      ["x.weight_scale_inv", "F32", [2, 3], new Uint8Array(24)],
      ["x.weight", "F8_E4M3", [4, 4], new Uint8Array(16)],
    ],
    "quantized-tensor",
    "scales of a matrix of 4 by 4",
  ],
  [
    "a state without a shape",
    { quant_method: "bitsandbytes", load_in_4bit: true, bnb_4bit_quant_type: "nf4" },
    [
      ["x.weight.absmax", "F32", [1], floats(1)],
      ["x.weight.quant_map", "F32", [16], new Uint8Array(64)],
      ["x.weight", "U8", [32, 1], new Uint8Array(32)],
      ["x.weight.quant_state.bitsandbytes__nf4", "U8", [16], Buffer.from('{"blocksize":64}')],
    ],
    "quantized-tensor",
    "a shape of two dimensions",
  ],
];

describe("tensors that contradict the configuration end in an error that names them", () => {
  test.each(contradicting)("%s", async (_, settings, tensors, code, words) => {
    const error = await refusal(opened(settings, tensors));
    expect(error.code).toBe(code);
    expect(error.message).toContain(words);
  });

  test("a group that has no scale", async () => {
    const index: Tensor = ["x.g_idx", "I32", [16], words(...new Array(15).fill(0), 2)];
    const weights = await opened(gptq, [qweight, qzeros, scales, index]);
    expect(() => valuesOf(weights, "x.weight")).toThrow("groups 0 to 1 are needed");
  });
});
