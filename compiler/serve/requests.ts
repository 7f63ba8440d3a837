/** What clients may ask: the fields of OpenAI's requests that gsic has, and what becomes of the others. */

import { randomInt } from "node:crypto";
import { closest } from "fastest-levenshtein";
import { type Static, type TSchema, Type } from "typebox";
import type { ChatMessage } from "../chat.js";
import { badField, shown } from "./errors.js";

const optional = <T extends TSchema>(schema: T) => Type.Optional(Type.Union([schema, Type.Null()]));

/** Most choices of a request. */
const maxChoices = 128;

const id = Type.Integer({ minimum: 0, maximum: 2 ** 31 - 1 });

const samplingFields = {
  model: Type.String(),
  temperature: optional(Type.Number({ minimum: 0, maximum: 2 })),
  top_p: optional(Type.Number({ minimum: 0, maximum: 1 })),
  /** Not OpenAI's: sample among so many likeliest tokens. */
  top_k: optional(Type.Integer({ minimum: 0, maximum: 2 ** 31 - 1 })),
  seed: optional(Type.Integer({ minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER })),
  max_tokens: optional(Type.Integer({ minimum: 0 })),
  stop: optional(
    Type.Union([
      Type.String({ minLength: 1, maxLength: 1000 }),
      Type.Array(Type.String({ minLength: 1, maxLength: 1000 }), { maxItems: 4 }),
    ]),
  ),
  n: optional(Type.Integer({ minimum: 1, maximum: maxChoices })),
  stream: optional(Type.Boolean()),
  stream_options: optional(Type.Object({ include_usage: Type.Optional(Type.Boolean()) })),
};

/** The body of `POST /v1/completions`: each prompt is a text or token ids. */
export const completionSchema = Type.Object({
  ...samplingFields,
  /** Not OpenAI's: whether what looks like a special token in a text is one. */
  parse_special: optional(Type.Boolean()),
  prompt: Type.Union([
    Type.String(),
    Type.Array(id, { minItems: 1 }),
    Type.Array(Type.String(), { minItems: 1, maxItems: maxChoices }),
    Type.Array(Type.Array(id, { minItems: 1 }), { minItems: 1, maxItems: maxChoices }),
  ]),
});

const textPart = Type.Object({ type: Type.Literal("text"), text: Type.String() });

/** The body of `POST /v1/chat/completions`: messages are texts, whole or in parts. */
export const chatSchema = Type.Object({
  ...samplingFields,
  max_completion_tokens: optional(Type.Integer({ minimum: 0 })),
  messages: Type.Array(
    Type.Object({
      role: Type.Union(["system", "developer", "user", "assistant"].map((role) => Type.Literal(role))),
      content: Type.Union([Type.String(), Type.Array(textPart)]),
      name: optional(Type.String()),
    }),
    { minItems: 1 },
  ),
});

/** A body that `completionSchema` admits. */
export type CompletionRequest = Static<typeof completionSchema>;
/** A body that `chatSchema` admits. */
export type ChatRequest = Static<typeof chatSchema>;

/** Fields that say nothing about the text. */
const ignored = [
  "user",
  "metadata",
  "store",
  "service_tier",
  "safety_identifier",
  "prompt_cache_key",
  "prompt_cache_retention",
];

/** Fields that gsic does not have, with the values that ask for nothing. */
const neutral: Readonly<Record<string, readonly unknown[]>> = {
  best_of: [1],
  echo: [false],
  frequency_penalty: [0],
  function_call: ["none"],
  functions: [[]],
  logit_bias: [{}],
  logprobs: [false],
  modalities: [["text"]],
  parallel_tool_calls: [true, false],
  presence_penalty: [0],
  response_format: [{ type: "text" }],
  suffix: [""],
  tool_choice: ["none", "auto"],
  tools: [[]],
  top_logprobs: [0],
};

/** Longer names are no misspelt ones. */
const longestName = 64;

/** Refuses fields that would be without effect, so that nobody takes a text for what it is not. */
export function refuseUnsupported(body: object, schema: { readonly properties: object }): void {
  const known = [...Object.keys(schema.properties), ...ignored, ...Object.keys(neutral)];
  for (const [name, value] of Object.entries(body)) {
    if (Object.hasOwn(schema.properties, name) || ignored.includes(name) || value === null) continue;
    const allowed = Object.hasOwn(neutral, name) ? neutral[name] : undefined;
    if (allowed === undefined) {
      // The nearest name costs the product of two lengths: who sends a megabyte is not told.
      const hint = name.length > longestName ? "" : `; did you mean ${closest(name, known)}?`;
      const message = `there is no field ${JSON.stringify(shown(name))}${hint}`;
      throw badField(shown(name), message, "unknown_parameter");
    }
    if (!allowed.some((one) => JSON.stringify(one) === JSON.stringify(value)))
      throw badField(
        name,
        `${name} is not supported; leave it out, or give ${JSON.stringify(allowed[0])}`,
        "unsupported_parameter",
      );
  }
}

/** A request's settings with their defaults. */
export interface Settings {
  readonly temperature: number;
  readonly topP: number;
  readonly topK: number;
  readonly seed: bigint;
  /** Most tokens of a choice; null: what the context has room for. */
  readonly limit: number | null;
  readonly stop: readonly string[];
  /** Choices of each prompt. */
  readonly choices: number;
  readonly includeUsage: boolean;
}

/** OpenAI's default of `max_tokens` where text is completed; a chat's answer ends by itself. */
const completionLimit = 16;

/** Fills in the defaults, OpenAI's where it has one; throws `ApiError` 400 for `stream_options` without `stream: true`. */
export function settingsOf(body: CompletionRequest | ChatRequest): Settings {
  const limit =
    "messages" in body
      ? (body.max_completion_tokens ?? body.max_tokens ?? null)
      : (body.max_tokens ?? completionLimit);
  if (body.stream_options && body.stream !== true)
    throw badField("stream_options", "stream_options needs stream: true");
  const stop = body.stop ?? [];
  // The runtime takes 0 for "no limit"; here it means the likeliest token alone.
  const likeliest = body.top_p === 0;
  return {
    temperature: likeliest ? 0 : (body.temperature ?? 1),
    topP: likeliest ? 1 : (body.top_p ?? 1),
    topK: body.top_k ?? 0,
    seed: BigInt.asUintN(64, BigInt(body.seed ?? randomInt(2 ** 47))),
    limit,
    stop: typeof stop === "string" ? [stop] : stop,
    choices: body.n ?? 1,
    includeUsage: body.stream_options?.include_usage ?? false,
  };
}

/** The prompts of a completion: texts, or token ids. Throws if there are more choices than a request may have. */
export function promptsOf(body: CompletionRequest): readonly (string | Int32Array)[] {
  const { prompt } = body;
  const list = (typeof prompt === "string" ? [prompt] : prompt) as string[] | number[] | number[][];
  const isIds = (one: readonly unknown[]): one is number[] => typeof one[0] === "number";
  const prompts = isIds(list)
    ? [Int32Array.from(list)]
    : list.map((one) => (typeof one === "string" ? one : Int32Array.from(one)));
  if (prompts.length * (body.n ?? 1) > maxChoices)
    throw badField("n", `${prompts.length} prompts times n is more than ${maxChoices} choices`);
  return prompts;
}

/** The messages of a chat as templates know them: their content in one piece, instructions from the system. */
export function messagesOf(body: ChatRequest): ChatMessage[] {
  return body.messages.map(({ role, content }) => ({
    role: (role === "developer" ? "system" : role) as ChatMessage["role"],
    content: typeof content === "string" ? content : content.map(({ text }) => text).join(""),
  }));
}
