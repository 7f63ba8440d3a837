import type { Weights } from "../read/weights.js";

/** Names of tensors, without `.weight` and `.bias`; those of a layer come after `layer(index)` and a dot. */
export interface DecoderNames {
  readonly embedding: string;
  readonly finalNorm: string;
  readonly head: string;
  readonly layer: (index: number) => string;
  readonly attentionNorm: string;
  /** The same name for query, key and value, or for gate and up: rows of one tensor, in this order. */
  readonly query: string;
  readonly key: string;
  readonly value: string;
  /** Norms of each head; null: none. */
  readonly queryNorm: string | null;
  readonly keyNorm: string | null;
  readonly attentionOut: string;
  /** Norms before the residual is added; null: none. */
  readonly attentionPostNorm: string | null;
  readonly mlpNorm: string;
  readonly gate: string;
  readonly up: string;
  readonly down: string;
  readonly mlpPostNorm: string | null;
  /** Whether a linear has a bias, by its full name. */
  readonly hasBias: (linear: string) => boolean;
  /** Tensors that nobody needs. */
  readonly ignorable: (tensor: string) => boolean;
}

/** Llama's names in Hugging Face folders. */
export const huggingFaceNames: DecoderNames = {
  embedding: "model.embed_tokens",
  finalNorm: "model.norm",
  head: "lm_head",
  layer: (index) => `model.layers.${index}`,
  attentionNorm: "input_layernorm",
  query: "self_attn.q_proj",
  key: "self_attn.k_proj",
  value: "self_attn.v_proj",
  queryNorm: null,
  keyNorm: null,
  attentionOut: "self_attn.o_proj",
  attentionPostNorm: null,
  mlpNorm: "post_attention_layernorm",
  gate: "mlp.gate_proj",
  up: "mlp.up_proj",
  down: "mlp.down_proj",
  mlpPostNorm: null,
  hasBias: () => false,
  ignorable: (tensor) => tensor.endsWith(".rotary_emb.inv_freq"),
};

/** What llama.cpp calls the divisors of rotary frequencies. */
export const ropeDivisors = "rope_freqs.weight";

/** llama.cpp's names; a linear has a bias where the file has one. */
export function ggufNames(weights: Weights): DecoderNames {
  return {
    embedding: "token_embd",
    finalNorm: "output_norm",
    head: "output",
    layer: (index) => `blk.${index}`,
    attentionNorm: "attn_norm",
    query: "attn_q",
    key: "attn_k",
    value: "attn_v",
    queryNorm: null,
    keyNorm: null,
    attentionOut: "attn_output",
    attentionPostNorm: null,
    mlpNorm: "ffn_norm",
    gate: "ffn_gate",
    up: "ffn_up",
    down: "ffn_down",
    mlpPostNorm: null,
    hasBias: (linear) => weights.info(`${linear}.bias`) !== undefined,
    ignorable: (tensor) => tensor === ropeDivisors,
  };
}
