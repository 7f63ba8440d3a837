import { GsicError } from "../errors.js";
import type { Graph } from "../ir.js";
import type { Weights } from "../read/weights.js";
import { gpt2 } from "./gpt2.js";
import { llama } from "./llama.js";

/** A family: wires a model's tensors to nodes. Throws `model-tensors` and `config-*` errors. */
type Family = (weights: Weights, name: string) => Graph;

/** Families by `model_type` of config.json. */
const huggingFaceFamilies: Readonly<Record<string, Family>> = { gpt2, llama };

/** Families by `general.architecture` of a GGUF file. */
const ggufFamilies: Readonly<Record<string, Family>> = { llama };

/** The graph of a model. `name` is what its build is called. */
export function readGraph(weights: Weights, name: string): Graph {
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
      hint: `supported ${gguf ? "in GGUF files" : "in folders"}: ${Object.keys(families).join(", ")}`,
    });
  }
  return family(weights, name);
}
