import type { Graph } from "../ir/graph.js";
import type { Weights } from "../read/weights.js";
import { decoder } from "./decoder.js";
import { configOf, huggingFaceShape } from "./decoder-settings.js";

/**
 * Mistral as Hugging Face stores it: Llama without biases, whose queries see the last `sliding_window` positions;
 * null: all. GGUF files of it call themselves `llama`.
 */
export function mistral(weights: Weights, name: string): Graph {
  const settings = configOf(weights);
  const defaults = { kvHeads: 8, context: 131072, epsilon: 1e-6, tied: false };
  const shape = huggingFaceShape(settings, defaults);
  const window = settings.isNull("sliding_window") ? null : settings.size("sliding_window", 4096);
  const layer = { ...shape.layer(0), window };
  return decoder(weights, name, "mistral", { ...shape, layer: () => layer });
}
