import type { Graph } from "../ir/graph.js";
import type { Weights } from "../read/weights.js";
import { type DecoderShape, decoder } from "./decoder.js";
import { huggingFaceNames } from "./decoder-names.js";
import { configOf, ggufSettings, ggufShape, huggingFaceShape } from "./decoder-settings.js";

/** The Llama family (Llama, SmolLM2, TinyLlama), as Hugging Face or llama.cpp stores it. */
export function llama(weights: Weights, name: string): Graph {
  const shape = weights.kind === "gguf" ? fromGguf(weights) : fromHuggingFace(weights);
  return decoder(weights, name, "llama", shape);
}

function fromHuggingFace(weights: Weights): DecoderShape {
  const settings = configOf(weights);
  const shape = huggingFaceShape(settings, { context: 2048, epsilon: 1e-6, tied: false });
  const attention = settings.flag("attention_bias", false);
  const mlp = settings.flag("mlp_bias", false);
  const hasBias = (linear: string) => (linear.includes(".mlp.") ? mlp : attention);
  return { ...shape, names: { ...huggingFaceNames, hasBias } };
}

function fromGguf(weights: Weights): DecoderShape {
  const settings = ggufSettings(weights, "llama");
  return { ...ggufShape(settings, weights), pairing: "adjacent" };
}
