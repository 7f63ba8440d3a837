import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { runTool } from "../cc/tool.js";
import type { Form } from "../ir/plan.js";
import type { QuantizedSource } from "../ir/steps.js";
import type { QuantizedLinear } from "../layout/quantizer.js";
import { readGraph } from "../models/index.js";
import { noFactors } from "../pack/weights.js";
import { writeSafetensors } from "../read/safetensors-write.js";
import { Weights } from "../read/weights.js";
import type { Measurements } from "../report/measurements.js";
import { temporaryFolder, testTargets, writePlanBundle } from "../testing/fixtures.js";
import { planOf } from "../testing/tiers.js";

const [hidden, inner, layers, vocabulary, keys] = [1024, 2816, 4, 2048, 256];
const form: Form = {
  gate: null,
  tier: { quantizer: { bits: 5, group: 32, symmetric: true }, rank: 0, exact: null },
};
/** Of exact mode's time that bounded may take: it reads a third of the bytes, so this is generous. */
const slack = 1.05;
const attempts = 3;

/** A Llama of arbitrary weights, in f16, 94 MB of linears: more than the caches that it is measured beside. */
async function writeModel(folder: string): Promise<void> {
  const config = {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    hidden_act: "silu",
    rms_norm_eps: 1e-5,
    hidden_size: hidden,
    intermediate_size: inner,
    num_hidden_layers: layers,
    vocab_size: vocabulary,
    num_attention_heads: 16,
    num_key_value_heads: 4,
    head_dim: 64,
    max_position_embeddings: 128,
    rope_theta: 10000,
    tie_word_embeddings: true,
    attention_bias: false,
    mlp_bias: false,
  };
  await writeFile(join(folder, "config.json"), JSON.stringify(config));
  const tensor = (name: string, ...shape: number[]) => {
    const count = shape.reduce((a, b) => a * b);
    // f16 of plus and minus 2^-6 to 2^-5 (matrices), or of 1 (norms).
    const value = (i: number) => 0x2400 | ((i * 7919) & 0x3ff) | ((i & 1) << 15);
    const data = () => [
      Uint16Array.from({ length: count }, (_, i) => (shape.length === 1 ? 0x3c00 : value(i))),
    ];
    return { name: `model.${name}.weight`, dtype: "F16" as const, shape, data };
  };
  const layer = (index: number) => [
    tensor(`layers.${index}.input_layernorm`, hidden),
    tensor(`layers.${index}.self_attn.q_proj`, hidden, hidden),
    tensor(`layers.${index}.self_attn.k_proj`, keys, hidden),
    tensor(`layers.${index}.self_attn.v_proj`, keys, hidden),
    tensor(`layers.${index}.self_attn.o_proj`, hidden, hidden),
    tensor(`layers.${index}.post_attention_layernorm`, hidden),
    tensor(`layers.${index}.mlp.gate_proj`, inner, hidden),
    tensor(`layers.${index}.mlp.up_proj`, inner, hidden),
    tensor(`layers.${index}.mlp.down_proj`, hidden, inner),
  ];
  await writeSafetensors(join(folder, "model.safetensors"), [
    tensor("embed_tokens", vocabulary, hidden),
    ...Array.from({ length: layers }, (_, index) => layer(index)).flat(),
    tensor("norm", hidden),
  ]);
}

/** A matrix of arbitrary integers: time does not depend on them. */
async function quantized({ out, d, quantizer }: QuantizedSource): Promise<QuantizedLinear> {
  const q = Uint8Array.from({ length: out * d }, (_, i) => (i * 7919) & (2 ** quantizer.bits - 1));
  const scales = new Int8Array(out * Math.ceil(d / quantizer.group)).fill(64);
  return { matrix: { q, scales, zeros: null, rowScales: new Float32Array(out).fill(1e-5) }, lowRank: null };
}

test("a tiered plan of a model beyond the caches is not slower than exact mode in the same run", async () => {
  const folder = await temporaryFolder();
  await writeModel(folder);
  const weights = await Weights.open(folder);
  const model = {
    weights,
    graph: readGraph(weights, "planted"),
    fingerprint: weights.fingerprint(),
    tokenizer: null,
    nativeTokenizer: null,
    tokenizerProblem: "there is none",
    chat: null,
  };
  const factors = { ...noFactors, quantized };
  const best = (await testTargets()).slice(0, 1);
  const bundle = await writePlanBundle(model, planOf(model, form), ["bounded", "exact"], factors, best);
  weights.close();
  const ratios: number[] = [];
  while (ratios.length < attempts && !ratios.some((ratio) => ratio * slack >= 1)) {
    const options = ["--tokens", "32", "--prefill", "16", "--repeat", "7"];
    const measured = JSON.parse(await runTool(["bench", bundle, ...options])) as Measurements;
    ratios.push(measured.modes.bounded!.decode_ratio_to_exact!.median);
  }
  expect(Math.max(...ratios), `bounded, x exact: ${ratios}`).toBeGreaterThanOrEqual(1 / slack);
});
