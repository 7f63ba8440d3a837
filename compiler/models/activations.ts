import type { ActivationFunction } from "../ir/graph.js";
import type { Settings } from "./settings.js";

/** Hugging Face's names for the activation functions that gsic has. */
export const activationNames: Readonly<Record<string, ActivationFunction>> = {
  gelu_new: "gelu_tanh",
  gelu_pytorch_tanh: "gelu_tanh",
  gelu_fast: "gelu_tanh",
  gelu: "gelu",
  silu: "silu",
  swish: "silu",
  relu: "relu",
};

/** The activation function that a configuration names under `key`. */
export function activationOf(settings: Settings, key: string, fallback: string): ActivationFunction {
  const activation = activationNames[settings.text(key, fallback)];
  if (activation === undefined) throw settings.unsupported(key, Object.keys(activationNames));
  return activation;
}
