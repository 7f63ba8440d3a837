/** What clients may ask: the fields of OpenAI's requests that gsic has, and what becomes of the others. */

import { closest } from "fastest-levenshtein";
import { type Static, Type } from "typebox";
import { type ApiError, badField, shown } from "./errors.js";
import { messagesSchema } from "./messages.js";
import { optional } from "./optional.js";
import { formatFields } from "./response-format.js";
import { toolFields } from "./tools.js";

/** Most choices of a request. */
export const maxChoices = 128;

/** Most tokens that are told of beside each token. */
const maxLogprobs = 20;

/** A token id. */
export const id = Type.Integer({ minimum: 0, maximum: 2 ** 31 - 1 });

const samplingFields = {
  model: Type.String(),
  temperature: optional(Type.Number({ minimum: 0, maximum: 2 })),
  top_p: optional(Type.Number({ minimum: 0, maximum: 1 })),
  /** Not OpenAI's: sample among so many likeliest tokens. */
  top_k: optional(Type.Integer({ minimum: 0, maximum: 2 ** 31 - 1 })),
  /** Not OpenAI's: sample among those that have so many times the probability of the likeliest. */
  min_p: optional(Type.Number({ minimum: 0, maximum: 1 })),
  /** Of 64 bits. What is beyond a JavaScript number is given as a text, as wide-seed.ts does with numbers of a body. */
  seed: optional(
    Type.Union([
      Type.Integer({ minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER }),
      Type.String({ pattern: "^-?[0-9]{1,20}$" }),
    ]),
  ),
  presence_penalty: optional(Type.Number({ minimum: -2, maximum: 2 })),
  frequency_penalty: optional(Type.Number({ minimum: -2, maximum: 2 })),
  /** Not OpenAI's. */
  repetition_penalty: optional(Type.Number({ exclusiveMinimum: 0, maximum: 100 })),
  logit_bias: optional(
    Type.Record(Type.String({ pattern: "^[0-9]{1,10}$" }), Type.Number({ minimum: -100, maximum: 100 }), {
      maxProperties: 1024,
      additionalProperties: false,
    }),
  ),
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
  ...formatFields,
};

/** The body of `POST /v1/completions`: each prompt is a text or token ids. */
export const completionSchema = Type.Object({
  ...samplingFields,
  /** Not OpenAI's: whether what looks like a special token in a text is one. */
  parse_special: optional(Type.Boolean()),
  best_of: optional(Type.Integer({ minimum: 1, maximum: maxChoices })),
  echo: optional(Type.Boolean()),
  logprobs: optional(Type.Union([Type.Integer({ minimum: 0, maximum: maxLogprobs }), Type.Literal(false)])),
  prompt: Type.Union([
    Type.String(),
    Type.Array(id, { minItems: 1 }),
    Type.Array(Type.String(), { minItems: 1, maxItems: maxChoices }),
    Type.Array(Type.Array(id, { minItems: 1 }), { minItems: 1, maxItems: maxChoices }),
  ]),
});

/** The body of `POST /v1/chat/completions`. */
export const chatSchema = Type.Object({
  ...samplingFields,
  max_completion_tokens: optional(Type.Integer({ minimum: 0 })),
  logprobs: optional(Type.Boolean()),
  top_logprobs: optional(Type.Integer({ minimum: 0, maximum: maxLogprobs })),
  ...toolFields,
  messages: messagesSchema,
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
  function_call: ["none"],
  functions: [[]],
  logprobs: [false],
  modalities: [["text"]],
  parallel_tool_calls: [true, false],
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

/** What a field gives, one or several of them: texts, or token ids. */
export function textsOf(given: CompletionRequest["prompt"]): readonly (string | Int32Array)[] {
  const list = (typeof given === "string" ? [given] : given) as string[] | number[] | number[][];
  const isIds = (one: readonly unknown[]): one is number[] => typeof one[0] === "number";
  return isIds(list)
    ? [Int32Array.from(list)]
    : list.map((one) => (typeof one === "string" ? one : Int32Array.from(one)));
}

/** A chat with a model that has no template for it. */
export function chatTemplateMissing(model: string): ApiError {
  return badField("messages", `${model} has no chat template; use /v1/completions`, "chat_template_missing");
}
