/** How a request's choices are generated: its fields with their defaults. */

import { randomInt } from "node:crypto";
import { badField } from "./errors.js";
import { type ChatRequest, type CompletionRequest, maxChoices } from "./requests.js";

/** How tokens are chosen, as `GenerateOptions` of load.ts has it. */
interface SamplingSettings {
  readonly temperature: number;
  readonly topP: number;
  readonly topK: number;
  readonly minP: number;
  readonly repetitionPenalty: number;
  readonly presencePenalty: number;
  readonly frequencyPenalty: number;
  readonly bias: ReadonlyMap<number, number>;
}

/** A request's settings with their defaults. */
export interface Settings {
  readonly sampling: SamplingSettings;
  /** Of the first choice of a prompt; the next ones count on. */
  readonly seed: bigint;
  /** Most tokens of a choice; null: what the context has room for. */
  readonly limit: number | null;
  readonly stop: readonly string[];
  /** Choices of each prompt. */
  readonly choices: number;
  /** So many are generated for each prompt, and the likeliest ones are the choices. */
  readonly bestOf: number;
  /** Whether a choice begins with its prompt. */
  readonly echo: boolean;
  /** How many likeliest tokens are told of each token besides itself; null: nothing is told. */
  readonly logprobs: number | null;
  /** Whether the token that ends the text is told of, too. */
  readonly tellEnd: boolean;
  readonly includeUsage: boolean;
}

/** OpenAI's default of `max_tokens` where text is completed; a chat's answer ends by itself. */
const completionLimit = 16;

/** Fills in the defaults, OpenAI's where it has one; throws `ApiError` 400 for fields that contradict each other. */
export function settingsOf(body: CompletionRequest | ChatRequest): Settings {
  if (body.stream_options && body.stream !== true)
    throw badField("stream_options", "stream_options needs stream: true");
  const stop = body.stop ?? [];
  return {
    sampling: samplingOf(body),
    seed: seedOf(body.seed ?? randomInt(2 ** 47)),
    stop: typeof stop === "string" ? [stop] : stop,
    choices: body.n ?? 1,
    includeUsage: body.stream_options?.include_usage ?? false,
    ...("messages" in body ? ofChat(body) : ofCompletion(body)),
  };
}

function samplingOf(body: CompletionRequest | ChatRequest): SamplingSettings {
  // The runtime takes 0 for "no limit"; here it means the likeliest token alone.
  const likeliest = body.top_p === 0;
  return {
    temperature: likeliest ? 0 : (body.temperature ?? 1),
    topP: likeliest ? 1 : (body.top_p ?? 1),
    topK: body.top_k ?? 0,
    minP: body.min_p ?? 0,
    repetitionPenalty: body.repetition_penalty ?? 1,
    presencePenalty: body.presence_penalty ?? 0,
    frequencyPenalty: body.frequency_penalty ?? 0,
    bias: new Map(Object.entries(body.logit_bias ?? {}).map(([id, bias]) => [Number(id), bias])),
  };
}

type OfKind = Pick<Settings, "limit" | "bestOf" | "echo" | "logprobs" | "tellEnd">;

function ofChat(body: ChatRequest): OfKind {
  if (body.top_logprobs != null && body.logprobs !== true)
    throw badField("top_logprobs", "top_logprobs needs logprobs: true");
  return {
    limit: body.max_completion_tokens ?? body.max_tokens ?? null,
    bestOf: body.n ?? 1,
    echo: false,
    logprobs: body.logprobs === true ? (body.top_logprobs ?? 0) : null,
    tellEnd: false,
  };
}

function ofCompletion(body: CompletionRequest): OfKind {
  const choices = body.n ?? 1;
  const bestOf = body.best_of ?? choices;
  if (bestOf < choices) throw badField("best_of", `best_of must be at least n, which is ${choices}`);
  if (bestOf > choices && body.stream === true)
    throw badField("best_of", "which choices are the best is known at the end: leave out stream, or best_of");
  // `false` is what some clients write where they want none.
  const logprobs = typeof body.logprobs === "number" ? body.logprobs : null;
  return {
    limit: body.max_tokens ?? completionLimit,
    bestOf,
    echo: body.echo ?? false,
    logprobs,
    tellEnd: true,
  };
}

/** Signed and unsigned integers of 64 bits; one of more digits than a JavaScript number comes as a text. */
function seedOf(seed: number | string): bigint {
  const value = BigInt(seed);
  if (value >= -(2n ** 63n) && value < 2n ** 64n) return BigInt.asUintN(64, value);
  throw badField("seed", "seed must be an integer of 64 bits");
}

/** Throws an `ApiError` 400 if a request has more choices than it may. */
export function requireFewChoices(prompts: number, { bestOf }: Settings): void {
  if (prompts * bestOf <= maxChoices) return;
  const count = prompts === 1 ? "" : `${prompts} prompts times `;
  throw badField("n", `${count}${bestOf} is more than ${maxChoices} choices`);
}
