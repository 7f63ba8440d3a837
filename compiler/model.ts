import type { Config } from "./config.js";
import { GsicError } from "./errors.js";
import type { Graph } from "./ir.js";
import { readGraph } from "./models/index.js";
import { fetchFromHub, isHubSource } from "./read/hub.js";
import { readTokenizer, type TokenizerModel } from "./read/tokenizer.js";
import { Weights } from "./read/weights.js";

/** A model that has been opened: headers are read, weights are still on disk. */
export interface Model {
  readonly weights: Weights;
  readonly graph: Graph;
  readonly tokenizer: TokenizerModel | null;
  /** SHA-256 that binds statistics and graphs to this model. */
  readonly fingerprint: string;
}

/** Longest context that is built unless model.toml asks for more; the KV cache grows with it. */
const defaultContext = 8192;

/** Opens the model that a configuration names; fetches it first if it lies on a hub. */
export async function openModel(
  config: Config,
  progress: (done: number, total: number) => void,
): Promise<Model> {
  const { source, name } = config.model;
  const local = isHubSource(source)
    ? await fetchFromHub(source, {
        onProgress: ({ received, total }) => progress(received, total ?? received),
      })
    : source;
  const weights = await Weights.open(local);
  const full = readGraph(weights, name);
  const wanted = config.model.context;
  if (wanted !== null && wanted > full.context) {
    throw new GsicError({
      category: "usage",
      code: "context-too-long",
      message: `the model knows ${full.context} positions, not ${wanted}`,
      where: `${config.file}: model.context`,
      hint: `lower it to ${full.context}, or leave it out`,
    });
  }
  const graph = { ...full, context: wanted ?? Math.min(full.context, defaultContext) };
  const tokenizer = await readTokenizer(
    weights.metadata === undefined ? weights.source : { file: weights.source, metadata: weights.metadata },
  );
  return { weights, graph, tokenizer, fingerprint: weights.fingerprint() };
}
