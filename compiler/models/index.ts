import type { Graph } from "../ir/graph.js";
import type { Weights } from "../read/weights.js";
import { GsicError } from "../support/errors.js";
import { didYouMean } from "../support/suggest.js";
import { gemma3 } from "./gemma3.js";
import { gpt2 } from "./gpt2.js";
import { gptj } from "./gptj.js";
import { llama } from "./llama.js";
import { mistral } from "./mistral.js";
import { onnxGraph } from "./onnx/index.js";
import { opt } from "./opt.js";
import { phi3 } from "./phi3.js";
import { qwen2, qwen3 } from "./qwen.js";

/** A family: wires a model's tensors to nodes. Throws `model-tensors` and `config-*` errors. */
type Family = (weights: Weights, name: string) => Graph;

/** Families by `model_type` of config.json. */
const huggingFaceFamilies: Readonly<Record<string, Family>> = {
  gemma3_text: gemma3,
  gpt2,
  gptj,
  llama,
  mistral,
  opt,
  phi3,
  qwen2,
  qwen3,
};

/** Families by `general.architecture` of a GGUF file. */
const ggufFamilies: Readonly<Record<string, Family>> = { gemma3, gpt2, llama, phi3, qwen2, qwen3 };

/** The graph of a model. `name` is what its build is called. */
export function readGraph(weights: Weights, name: string): Graph {
  if (weights.kind === "onnx") return onnxGraph(weights, name);
  const gguf = weights.kind === "gguf";
  const families = gguf ? ggufFamilies : huggingFaceFamilies;
  const key = gguf ? "general.architecture" : "model_type";
  const declared = gguf ? weights.metadata?.get(key) : weights.config?.[key];
  const family =
    typeof declared === "string" && Object.hasOwn(families, declared) ? families[declared] : undefined;
  if (family === undefined) {
    throw new GsicError({
      category: "data",
      code: "architecture-unknown",
      message:
        declared === undefined
          ? `${key} is missing`
          : `the architecture ${JSON.stringify(declared)} is not supported`,
      where: gguf ? `${weights.source}: ${key}` : `${weights.source}/config.json: ${key}`,
      hint: `${didYouMean(String(declared), Object.keys(families))}supported ${gguf ? "in GGUF files" : "in folders"}: ${Object.keys(families).join(", ")}`,
    });
  }
  return family(weights, name);
}
