import type { Config } from "../config/config.js";
import type { Graph } from "../ir/graph.js";
import { type ChatTemplateSource, readChatTemplate, requireEnding } from "../read/chat-template.js";
import { fetchFromHub, isHubSource } from "../read/hub.js";
import { readTokenizer, serializeTokenizer, type TokenizerModel } from "../read/tokenizer.js";
import { Weights } from "../read/weights.js";
import { GsicError } from "../support/errors.js";
import { readGraph } from "./index.js";

/** A model that has been opened: headers are read, weights are still on disk. */
export interface Model {
  readonly weights: Weights;
  readonly graph: Graph;
  readonly tokenizer: TokenizerModel | null;
  /** The tokenizer as the runtime reads it; null where there is none that the runtime can run. */
  readonly nativeTokenizer: Uint8Array | null;
  /** Why text cannot be used with this model, or with its executable; null if it can. */
  readonly tokenizerProblem: string | null;
  /** How conversations are written for this model; null if it does not say. */
  readonly chat: ChatTemplateSource | null;
  /** SHA-256 that binds statistics and graphs to this model. */
  readonly fingerprint: string;
}

/** Longest context that is built unless model.toml asks for more; the KV cache grows with it. */
const defaultContext = 8192;

/** Longest context that the runtime takes. */
const longestContext = 1 << 24;

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
  if (graph.context > longestContext) {
    throw new GsicError({
      category: "usage",
      code: "context-too-long",
      message: `a context of ${graph.context} is more than builds hold, ${longestContext}`,
      where: `${config.file}: model.context`,
      hint: `lower it to ${longestContext} at most`,
    });
  }
  const text = await openTokenizer(weights);
  if (text.tokenizer !== null) requireOwnTokenizer(text.tokenizer, graph.vocabulary, weights.source);
  const { folder: file, metadata } = weights;
  const chat = await readChatTemplate(metadata === undefined ? file : { file, metadata });
  if (chat !== null) await requireEnding(chat, file);
  return { weights, graph, ...text, chat, fingerprint: weights.fingerprint() };
}

/**
 * Refuses a tokenizer that makes ids of text for which the model has no embedding: it belongs to another model. Added
 * tokens may lie beyond, as Gemma 3's image token does: the text of none of them is in ordinary text.
 */
function requireOwnTokenizer(tokenizer: TokenizerModel, vocabulary: number, source: string): void {
  const added = new Set(tokenizer.added.map(({ id }) => id));
  const beyond = tokenizer.tokens.findLastIndex((token, id) => token.length > 0 && !added.has(id));
  const ids = { token: beyond, "beginning-of-text token": tokenizer.bos, "end-of-text token": tokenizer.eos };
  for (const [what, id] of Object.entries(ids)) {
    if (id === null || id < vocabulary) continue;
    throw new GsicError({
      category: "data",
      code: "tokenizer-other-model",
      message: `the tokenizer's ${what} has the id ${id}, and the model's ids end at ${vocabulary - 1}`,
      where: source,
      hint: "take the tokenizer from where the weights come from",
    });
  }
}

/** Exact mode needs no tokenizer, so one that gsic cannot run is a limit of the build, not an error. */
async function openTokenizer(
  weights: Weights,
): Promise<Pick<Model, "tokenizer" | "nativeTokenizer" | "tokenizerProblem">> {
  const { folder: file, metadata } = weights;
  let tokenizer: TokenizerModel | null = null;
  try {
    tokenizer = await readTokenizer(metadata === undefined ? file : { file, metadata });
    if (tokenizer === null) {
      return { tokenizer, nativeTokenizer: null, tokenizerProblem: "the model has no tokenizer" };
    }
    return { tokenizer, nativeTokenizer: serializeTokenizer(tokenizer), tokenizerProblem: null };
  } catch (error) {
    if (!(error instanceof GsicError) || error.code !== "tokenizer-unsupported") throw error;
    return { tokenizer, nativeTokenizer: null, tokenizerProblem: error.message };
  }
}
