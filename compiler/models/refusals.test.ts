import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { Weights } from "../read/weights.js";
import { GsicError } from "../support/errors.js";
import { entry, ggufBytes, piece } from "../testing/files.js";
import { fixturesFolder } from "../testing/fixtures.js";
import { readGraph } from "./index.js";

const scratch = mkdtempSync(join(tmpdir(), "gsic-families-"));
afterAll(() => rmSync(scratch, { recursive: true }));

type Json = Record<string, unknown>;

/** What reading a source as a model ends in; a defect of the test if it ends well. */
async function refusalOf(source: string): Promise<GsicError> {
  const weights = await Weights.open(source);
  try {
    readGraph(weights, "test");
  } catch (error) {
    expect(error).toBeInstanceOf(GsicError);
    return error as GsicError;
  } finally {
    weights.close();
  }
  throw new Error("the model was accepted");
}

/** A copy of a fixture whose config.json says something else; undefined removes a key. */
function changed(fixture: string, change: Json): string {
  const folder = mkdtempSync(join(scratch, `${fixture}-`));
  for (const file of readdirSync(join(fixturesFolder, fixture))) {
    copyFileSync(join(fixturesFolder, fixture, file), join(folder, file));
  }
  const config = JSON.parse(readFileSync(join(folder, "config.json"), "utf8")) as Json;
  writeFileSync(join(folder, "config.json"), JSON.stringify({ ...config, ...change }));
  return folder;
}

/** Fixture, change of its config.json, code and key of the error. */
const cases: readonly (readonly [string, Json, string, string])[] = [
  ["gptj-f32", { n_head: 5 }, "config-inconsistent", "n_head"],
  ["gptj-f32", { n_layer: 0 }, "config-wrong-value", "n_layer"],
  ["gptj-f32", { n_embd: undefined }, "config-missing-key", "n_embd"],
  ["gptj-f32", { rotary_dim: null }, "config-unsupported", "rotary_dim"],
  ["gptj-f32", { rotary_dim: 7 }, "config-inconsistent", "rotary_dim"],
  ["gptj-f32", { rotary_dim: 14 }, "config-inconsistent", "rotary_dim"],
  ["gptj-f32", { activation_function: "mish" }, "config-unsupported", "activation_function"],
  ["gptj-f32", { n_inner: 41 }, "model-tensors", "mlp.fc_in.weight: [40, 36], expected [41, 36]"],
  ["gptj-f32", { n_layer: 1 }, "model-tensors", "transformer.h.1.ln_1.weight: not part of"],
  ["gptj-f32", { n_layer: 3 }, "model-tensors", "transformer.h.2.ln_1.weight: missing"],
  ["opt-f32", { num_attention_heads: 4 }, "config-inconsistent", "num_attention_heads"],
  [
    "opt-f32",
    { layer_norm_elementwise_affine: false },
    "config-unsupported",
    "layer_norm_elementwise_affine",
  ],
  ["opt-f32", { do_layer_norm_before: "no" }, "config-wrong-value", "do_layer_norm_before"],
  ["opt-f32", { do_layer_norm_before: false }, "model-tensors", "decoder.final_layer_norm.weight: not part"],
  ["opt-f32", { word_embed_proj_dim: 20 }, "model-tensors", "decoder.project_in.weight: missing"],
  ["opt-f32", { enable_bias: false }, "model-tensors", "fc1.bias: not part of"],
  ["opt-f32", { max_position_embeddings: 42 }, "model-tensors", "[42, 30], expected [44, 30]"],
  ["opt-untied", { tie_word_embeddings: 1 }, "config-wrong-value", "tie_word_embeddings"],
  ["qwen2-f32", { num_key_value_heads: 2 }, "config-inconsistent", "num_key_value_heads"],
  ["qwen2-f32", { rope_parameters: { rope_type: "yarn", factor: 4 } }, "config-unsupported", "rope_type"],
  ["qwen2-f32", { rope_scaling: { type: "dynamic", factor: 2 } }, "config-unsupported", "type"],
  ["qwen2-window", { sliding_window: 0 }, "config-wrong-value", "sliding_window"],
  ["qwen2-window", { layer_types: ["full_attention"] }, "config-wrong-value", "layer_types"],
  ["qwen2-window", { layer_types: ["full_attention", "linear"] }, "config-unsupported", "layer_types"],
  ["qwen2-window", { max_window_layers: -1 }, "config-wrong-value", "max_window_layers"],
  ["qwen3-f32", { head_dim: 13 }, "config-inconsistent", "head_dim"],
  ["qwen3-f32", { attention_bias: true }, "model-tensors", "self_attn.q_proj.bias: missing"],
  ["mistral-window", { sliding_window: "all" }, "config-wrong-value", "sliding_window"],
  ["mistral-window", { rms_norm_eps: 0 }, "config-wrong-value", "rms_norm_eps"],
  [
    "llama-biases",
    { mlp_bias: false },
    "model-tensors",
    "model.layers.0.mlp.down_proj.bias: not part of this architecture",
  ],
  ["phi3-f32", { rope_scaling: { type: "linear", factor: 2 } }, "config-unsupported", "type"],
  [
    "phi3-f32",
    { rope_parameters: { partial_rotary_factor: 0.1 } },
    "config-inconsistent",
    "partial_rotary_factor",
  ],
  ["phi3-longrope", { rope_scaling: { type: "longrope" } }, "config-missing-key", "short_factor"],
  [
    "phi3-longrope",
    { rope_scaling: { type: "longrope", short_factor: [1, 2, 3] } },
    "config-wrong-value",
    "short_factor",
  ],
  ["gemma3-f32", { final_logit_softcapping: 30 }, "config-unsupported", "final_logit_softcapping"],
  ["gemma3-f32", { attn_logit_softcapping: 50 }, "config-unsupported", "attn_logit_softcapping"],
  ["gemma3-f32", { use_bidirectional_attention: true }, "config-unsupported", "use_bidirectional_attention"],
  ["gemma3-f32", { query_pre_attn_scalar: -1 }, "config-wrong-value", "query_pre_attn_scalar"],
  ["gemma3-f32", { layer_types: ["sliding_attention"] }, "config-wrong-value", "layer_types"],
  ["gemma3-f32", { model_type: "gemma3" }, "architecture-unknown", "model_type"],
  ["gemma3-f32", { model_type: "constructor" }, "architecture-unknown", "model_type"],
];

describe("a configuration that gsic cannot build ends in an error that names file, key and next step", () => {
  test.each(cases)("%s: %j", async (fixture, change, code, key) => {
    const folder = changed(fixture, change);
    const error = await refusalOf(folder);
    expect(error.code).toBe(code);
    expect(error.category).toBe("data");
    expect(error.where).toContain(folder);
    if (code !== "model-tensors") expect(error.where).toContain("config.json");
    expect(`${error.where} ${error.message}`).toContain(key);
    expect(error.hint).toBeTruthy();
  });
});

/** Metadata of a GGUF file without tensors; what it lacks is found before they are. */
const gguf = (architecture: string, extra: Json): Json => ({
  "general.architecture": architecture,
  ...Object.fromEntries(
    Object.entries({
      block_count: 1,
      context_length: 16,
      embedding_length: 32,
      feed_forward_length: 32,
      "attention.head_count": 2,
      "attention.layer_norm_rms_epsilon": 1e-5,
      vocab_size: 8,
      ...extra,
    }).map(([key, value]) => [`${architecture}.${key}`, value]),
  ),
});

/** A metadata entry: a string, a float, or an unsigned integer. */
function metadata(key: string, value: unknown): Uint8Array {
  if (typeof value === "string") return entry(key, 8, piece.string(value));
  const number = value as number;
  return Number.isInteger(number) ? entry(key, 4, piece.u32(number)) : entry(key, 6, piece.f32(number));
}

const ggufCases: readonly (readonly [string, Json, string, string])[] = [
  ["qwen2", { "attention.head_count": 3 }, "config-inconsistent", "qwen2.attention.head_count"],
  ["qwen2", { "rope.scaling.type": "yarn" }, "config-unsupported", "qwen2.rope.scaling.type"],
  ["qwen3", { "rope.dimension_count": 3 }, "config-inconsistent", "qwen3.rope.dimension_count"],
  ["qwen3", { context_length: undefined }, "config-missing-key", "qwen3.context_length"],
  ["phi3", { "rope.scaling.type": "linear" }, "config-unsupported", "phi3.rope.scaling.type"],
  ["phi3", { "rope.scaling.type": "longrope" }, "config-inconsistent", "phi3.rope.scaling.type"],
  ["gemma3", { final_logit_softcapping: 30 }, "config-unsupported", "gemma3.final_logit_softcapping"],
  ["gemma3", {}, "config-missing-key", "gemma3.attention.sliding_window"],
  ["gpt2", { "attention.head_count": 3 }, "config-inconsistent", "gpt2.attention.head_count"],
  ["gpt2", {}, "config-missing-key", "gpt2.attention.layer_norm_epsilon"],
  ["gptj", {}, "architecture-unknown", "general.architecture"],
];

describe("so does the metadata of a GGUF file", () => {
  test.each(ggufCases)("%s: %j", async (architecture, extra, code, key) => {
    const given = Object.entries(gguf(architecture, extra)).filter(([, value]) => value !== undefined);
    const file = join(mkdtempSync(join(scratch, "gguf-")), "model.gguf");
    writeFileSync(file, ggufBytes({ entries: given.map(([key, value]) => metadata(key, value)) }));
    const error = await refusalOf(file);
    expect(error.code).toBe(code);
    expect(error.where).toContain(file);
    expect(`${error.where} ${error.message}`).toContain(key);
    expect(error.hint).toBeTruthy();
  });
});
