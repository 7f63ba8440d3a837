/** `POST /v1/embeddings`: texts as directions, made of the model's last hidden states. */

import { type Static, Type } from "typebox";
import type { Model } from "../load.js";
import { badField } from "./errors.js";
import { optional } from "./optional.js";
import { id } from "./requests.js";

/** Most texts of a request. */
const maxTexts = 2048;

/** The body of a request: each input is a text or token ids. */
export const embeddingsSchema = Type.Object({
  model: Type.String(),
  input: Type.Union([
    Type.String(),
    Type.Array(id, { minItems: 1 }),
    Type.Array(Type.String(), { minItems: 1, maxItems: maxTexts }),
    Type.Array(Type.Array(id, { minItems: 1 }), { minItems: 1, maxItems: maxTexts }),
  ]),
  encoding_format: optional(Type.Union([Type.Literal("float"), Type.Literal("base64")])),
  /** Not OpenAI's: the mean of all tokens' states, or the last token's. */
  pooling: optional(Type.Union([Type.Literal("mean"), Type.Literal("last")])),
  dimensions: optional(Type.Integer({ minimum: 1 })),
});

/** A body that `embeddingsSchema` admits. */
export type EmbeddingsRequest = Static<typeof embeddingsSchema>;

/** Throws an `ApiError` 400 where a build has no hidden states, or the request wants others than it has. */
export function requireEmbeddings({ info }: Model, { dimensions }: EmbeddingsRequest): void {
  if (info.hidden === 0)
    throw badField(
      "model",
      `${info.target} keeps no hidden states; build for a CPU`,
      "embeddings_unsupported",
    );
  if (dimensions != null && dimensions !== info.hidden)
    throw badField(
      "dimensions",
      `this model's embeddings have ${info.hidden} dimensions; leave dimensions out`,
    );
}

/** The answer to a request whose texts are `ids`. Throws the signal's reason. */
export async function embeddingsAnswer(
  model: Model,
  request: {
    readonly ids: readonly Int32Array[];
    readonly body: EmbeddingsRequest;
    readonly signal: AbortSignal;
  },
) {
  const { ids, body, signal } = request;
  const pooling = body.pooling ?? "mean";
  const data = [];
  for (const [index, text] of ids.entries()) {
    const vector = await embed(model, text, { pooling, signal });
    data.push({ object: "embedding", index, embedding: encodeEmbedding(vector, body.encoding_format) });
  }
  const tokens = ids.reduce((sum, { length }) => sum + length, 0);
  const usage = { prompt_tokens: tokens, total_tokens: tokens };
  return { object: "list", data, model: model.info.name, usage };
}

/** One text's embedding: its tokens' last hidden states in one, of length 1. Throws the signal's reason. */
async function embed(
  model: Model,
  ids: Int32Array,
  { pooling, signal }: { readonly pooling: "mean" | "last"; readonly signal: AbortSignal },
): Promise<Float32Array> {
  signal.throwIfAborted();
  const session = await model.session({ mode: "exact" });
  // A pass that has begun ends when its session goes.
  const stop = () => session.dispose();
  signal.addEventListener("abort", stop);
  try {
    return pool(await session.hidden(ids), model.info.hidden, pooling);
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener("abort", stop);
    session.dispose();
  }
}

/** Of states [tokens, width]. */
function pool(states: Float32Array, width: number, pooling: "mean" | "last"): Float32Array {
  const sum = new Float64Array(width);
  const first = pooling === "last" ? states.length - width : 0;
  for (let at = first; at < states.length; at++) sum[at % width]! += states[at]!;
  const length = Math.hypot(...sum);
  return Float32Array.from(sum, (one) => (length === 0 ? 0 : one / length));
}

/** A vector as a request wants it. */
function encodeEmbedding(vector: Float32Array, format: EmbeddingsRequest["encoding_format"]) {
  return format === "base64" ? Buffer.from(vector.buffer).toString("base64") : [...vector];
}
