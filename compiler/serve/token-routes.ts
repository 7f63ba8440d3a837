/** `POST /tokenize` and `POST /detokenize`: texts to ids and back, in the form that vLLM gave them. */

import type { FastifyInstance, FastifyReply } from "fastify";
import { type Static, Type } from "typebox";
import type { ChatTemplate } from "../chat.js";
import type { Model } from "../load.js";
import { badField } from "./errors.js";
import { messagesOf, messagesSchema } from "./messages.js";
import { requireId, requireModel } from "./model-checks.js";
import { optional } from "./optional.js";
import { chatTemplateMissing, id, refuseUnsupported } from "./requests.js";

const tokenizeSchema = Type.Object({
  model: optional(Type.String()),
  /** This or `messages`. */
  prompt: optional(Type.String()),
  messages: optional(messagesSchema),
  /** Whether what the tokenizer puts in front of every text is put there; default true. */
  add_special_tokens: optional(Type.Boolean()),
  /** Whether what looks like a special token in the prompt is one; default false. */
  parse_special: optional(Type.Boolean()),
  return_token_strs: optional(Type.Boolean()),
});

const detokenizeSchema = Type.Object({
  model: optional(Type.String()),
  tokens: Type.Array(id),
});

/** What the routes use of a server. */
interface Tokenizing {
  readonly model: Model;
  readonly chat: ChatTemplate | null;
  /** Runs work on a text when its turn comes, within the server's limits. */
  readonly encode: (
    param: string,
    reply: FastifyReply,
    work: (signal: AbortSignal) => Promise<Int32Array>,
  ) => Promise<Int32Array>;
}

/** Adds both routes. */
export function addTokenRoutes(app: FastifyInstance, tokenizing: Tokenizing): void {
  const { model } = tokenizing;
  app.post<{ Body: Static<typeof tokenizeSchema> }>(
    "/tokenize",
    { schema: { body: tokenizeSchema } },
    async ({ body }, reply) => {
      refuseUnsupported(body, tokenizeSchema);
      if (body.model != null) requireModel(model, body.model);
      const ids = await idsOf(tokenizing, body, reply);
      const spell = (one: number) => model.decode(Int32Array.of(one));
      const strings = body.return_token_strs ? { token_strs: Array.from(ids, spell) } : {};
      return { count: ids.length, max_model_len: model.info.context, tokens: [...ids], ...strings };
    },
  );
  app.post<{ Body: Static<typeof detokenizeSchema> }>(
    "/detokenize",
    { schema: { body: detokenizeSchema } },
    ({ body }) => {
      refuseUnsupported(body, detokenizeSchema);
      if (body.model != null) requireModel(model, body.model);
      for (const one of body.tokens) requireId(model, one, "tokens");
      return { prompt: model.decode(Int32Array.from(body.tokens)) };
    },
  );
}

async function idsOf(
  { model, chat, encode }: Tokenizing,
  body: Static<typeof tokenizeSchema>,
  reply: FastifyReply,
): Promise<Int32Array> {
  const { prompt, messages } = body;
  if ((prompt == null) === (messages == null)) throw badField("prompt", "give either prompt or messages");
  if (messages != null) {
    if (chat === null) throw chatTemplateMissing(model.info.name);
    return encode("messages", reply, (signal) => chat.encode(model, messagesOf(messages), { signal }));
  }
  const special = body.parse_special === true;
  const ids = await encode("prompt", reply, (signal) => model.encode(prompt!, { special, signal }));
  return body.add_special_tokens === false ? ids.subarray((await model.encode("")).length) : ids;
}
