import { copyFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { readConfig } from "../../config/config.js";
import { readGraph } from "../../models/index.js";
import { openModel } from "../../models/model.js";
import { readGguf } from "../../read/gguf.js";
import { readTokenizer } from "../../read/tokenizer.js";
import { Weights } from "../../read/weights.js";
import { packageRoot } from "../../support/paths.js";
import { entry, ggufBytes, piece, safetensorsBytes } from "../files.js";
import { type BadCase, bad, index, type Scratch, wired } from "./case.js";

const map = (weightMap: unknown) => JSON.stringify({ weight_map: weightMap });
const config = (key: string) => `@/model/config.json: ${key}`;
const file = "@/model.safetensors.index.json";

/** A model whose tensors are replaced by these. */
const withTensors =
  (fixture: string, change: (header: Record<string, { shape: number[] }>) => void) =>
  async (scratch: Scratch) => {
    const folder = scratch.model(fixture);
    const { readFileSync } = await import("node:fs");
    const bytes = readFileSync(join(folder, "model.safetensors"));
    const end = 8 + Number(bytes.readBigUInt64LE());
    const header = JSON.parse(bytes.toString("utf8", 8, end)) as Record<string, { shape: number[] }>;
    change(header);
    scratch.write("model/model.safetensors", safetensorsBytes(header, bytes.subarray(end)));
    const weights = await Weights.open(folder);
    try {
      return readGraph(weights, "m");
    } finally {
      weights.close();
    }
  };

/** A model of one fixture with the tokenizer of another. */
async function foreignTokenizer(scratch: Scratch): Promise<unknown> {
  const folder = scratch.model("llama-bf16");
  const from = join(packageRoot, "compiler/read/fixtures/tokenizers/gpt2/tokenizer.json");
  copyFileSync(from, join(folder, "tokenizer.json"));
  return openModel(
    readConfig(scratch.write("model.toml", '[model]\nsource = "model"\nname = "m"')),
    () => {},
  );
}

/** A GGUF tokenizer of three tokens that begins with another id. */
const beginsWith = (id: number) => async (scratch: Scratch) => {
  const strings = (...list: string[]) =>
    Buffer.concat([piece.u32(8), piece.u64(list.length), ...list.map(piece.string)]);
  const entries = [
    entry("tokenizer.ggml.model", 8, piece.string("gpt2")),
    entry("tokenizer.ggml.tokens", 9, strings("a", "b", "ab")),
    entry("tokenizer.ggml.merges", 9, strings("a b")),
    entry("tokenizer.ggml.bos_token_id", 4, piece.u32(id)),
  ];
  return readTokenizer(await readGguf(scratch.write("m.gguf", ggufBytes({ entries }))));
};

/** Cases 37 to 47: what a model is. */
export const modelCases: readonly BadCase[] = [
  bad(37, "missing", wired("llama-bf16", { num_hidden_layers: 3 }), "model-tensors", "@/model", {
    says: ["layers.2.input_layernorm.weight: missing", "layers.2.mlp.down_proj.weight: missing"],
  }),
  bad(37, "extra", wired("llama-bf16", { num_hidden_layers: 1 }), "model-tensors", "@/model", {
    says: ["layers.1.input_layernorm.weight: not part", "layers.1.mlp.up_proj.weight: not part"],
  }),
  bad(37, "of the wrong shape", wired("llama-bf16", { intermediate_size: 64 }), "model-tensors", "@/model", {
    says: ["layers.0.mlp.up_proj.weight: [58, 42], expected [64, 42]", "layers.1.mlp.down_proj.weight"],
  }),
  bad(
    38,
    "no heads",
    wired("llama-bf16", { num_attention_heads: 0 }),
    "config-wrong-value",
    config("num_attention_heads"),
  ),
  bad(
    38,
    "hidden size",
    wired("llama-bf16", { num_attention_heads: 5, num_key_value_heads: 5, head_dim: undefined }),
    "config-inconsistent",
    config("num_attention_heads"),
  ),
  bad(
    38,
    "groups",
    wired("llama-bf16", { num_attention_heads: 6, num_key_value_heads: 4 }),
    "config-inconsistent",
    config("num_key_value_heads"),
  ),
  ...[1025, 1e9, 2 ** 53].map((layers) =>
    bad(
      39,
      `${layers}`,
      wired("llama-bf16", { num_hidden_layers: layers }),
      "config-wrong-value",
      config("num_hidden_layers"),
    ),
  ),
  bad(39, "GPT-2", wired("gpt2-f32", { n_layer: 1e9 }), "config-wrong-value", config("n_layer"), {
    says: ["from 1 to 1024"],
  }),
  bad(
    40,
    "config",
    wired("llama-bf16", { model_type: "mamba" }),
    "architecture-unknown",
    config("model_type"),
    {
      says: ['"mamba"', "supported in folders: gemma3_text, gpt2"],
    },
  ),
  bad(
    40,
    "constructor",
    wired("llama-bf16", { model_type: "constructor" }),
    "architecture-unknown",
    config("model_type"),
  ),
  bad(
    40,
    "GGUF",
    async (scratch) => {
      const entries = [entry("general.architecture", 8, piece.string("mamba"))];
      const weights = await Weights.open(scratch.write("m.gguf", ggufBytes({ entries })));
      return readGraph(weights, "m");
    },
    "architecture-unknown",
    "@/m.gguf: general.architecture",
    { says: ["supported in GGUF files: gemma3"] },
  ),
  bad(
    41,
    "the embedding",
    withTensors("gpt2-f32", (header) => {
      header.other = header["transformer.wte.weight"]!;
      delete header["transformer.wte.weight"];
    }),
    "model-tensors",
    "@/model",
    { says: ["wte.weight: missing", "other: not part"] },
  ),
  bad(
    41,
    "the head of an untied model",
    wired("gpt2-f32", { tie_word_embeddings: false }),
    "model-tensors",
    "@/model",
    { says: ["lm_head.weight: missing"] },
  ),
  bad(
    42,
    "a missing shard",
    index(map({ a: "2.safetensors" })),
    "index-shard-missing",
    `${file}: key "weight_map"`,
  ),
  bad(42, "..", index(map({ a: "../1.safetensors" })), "index-shard-name", `${file}: key "weight_map"`),
  bad(
    42,
    "an absolute path",
    index(map({ a: "/tmp/1.safetensors" })),
    "index-shard-name",
    `${file}: key "weight_map"`,
  ),
  bad(
    42,
    "a link that leaves",
    index(map({ a: "2.safetensors" }), (scratch) => {
      symlinkSync("/etc/hostname", scratch.path("2.safetensors"));
    }),
    "index-shard-link",
    `${file}: key "weight_map"`,
  ),
  bad(
    42,
    "a tensor that no shard holds",
    index(map({ a: "1.safetensors", b: "1.safetensors", z: "1.safetensors" })),
    "index-tensor-missing",
    `${file}: key "z"`,
  ),
  bad(
    42,
    "a tensor that it does not name",
    index(map({ a: "1.safetensors" })),
    "index-tensor-extra",
    `${file}: key "b"`,
  ),
  bad(
    43,
    "in the files",
    index(map({ a: "1.safetensors", b: "2.safetensors" }), (scratch) => {
      const b = { b: { dtype: "F32", shape: [1], data_offsets: [0, 4] } };
      scratch.write("2.safetensors", safetensorsBytes(b, new Uint8Array(4)));
    }),
    "index-tensor-twice",
    `${file}: key "b"`,
  ),
  bad(44, "config", wired("llama-bf16", { vocab_size: 7 }), "model-tensors", "@/model", {
    says: ["embed_tokens.weight", "expected [7, "],
  }),
  bad(45, "of the tokenizer", beginsWith(3), "tokenizer-malformed", "@/m.gguf: tokenizer.ggml.bos_token_id"),
  bad(
    46,
    "c_attn",
    withTensors("gpt2-f32", (header) => {
      for (const [name, tensor] of Object.entries(header))
        if (name.includes("c_attn.weight")) tensor.shape.reverse();
    }),
    "model-tensors",
    "@/model",
    { says: ["h.0.attn.c_attn.weight: [90, 30], expected [30, 90]"] },
  ),
  bad(
    46,
    "missing, named once",
    withTensors("gpt2-f32", (header) => {
      header["x.weight"] = header["transformer.h.0.attn.c_attn.weight"]!;
      delete header["transformer.h.0.attn.c_attn.weight"];
    }),
    "model-tensors",
    "@/model",
    {
      says: [
        "fit the configuration:\n  transformer.h.0.attn.c_attn.weight: missing, expected [30, 90]\n  x.weight: not part",
      ],
    },
  ),
  bad(47, "of a larger vocabulary", foreignTokenizer, "tokenizer-other-model", "@/model"),
];
