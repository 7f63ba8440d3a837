/** Answers as OpenAI's interface has them, whole or in events. */

import { randomUUID } from "node:crypto";
import type { Model } from "../load.js";
import type { FinishReason, Piece } from "./generation.js";
import { chatLogprobs, completionLogprobs, type ToldToken } from "./told-tokens.js";
import type { Parsed, ToolCall, ToolCallParser, ToolFormat } from "./tool-calls.js";

/** What is counted of a request. */
interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  /** Of a mode that drafts: tokens that were proposed, by what the exact weights said. */
  readonly completion_tokens_details?: {
    readonly accepted_prediction_tokens: number;
    readonly rejected_prediction_tokens: number;
  };
}

/** What answers are made of besides pieces. */
interface AnswerParts {
  readonly kind: AnswerKind;
  readonly head: AnswerHead;
  readonly model: Model;
  readonly promptTokens: number;
  /** Whether tokens are told of. */
  readonly logprobs: boolean;
  /** How calls of tools are written; null: what looks like one is text. */
  readonly tools: ToolFormat | null;
}

/** Which of OpenAI's two interfaces an answer is for: `/v1/completions` or `/v1/chat/completions`. */
export type AnswerKind = "completion" | "chat";

/** What all parts of an answer say. */
interface AnswerHead {
  readonly id: string;
  readonly created: number;
  readonly model: string;
  /** Changes where the same seed may give another text. */
  readonly system_fingerprint: string;
}

/** The head of a new answer: its id is random, `created` is now in seconds since 1970. */
export function answerHead(kind: AnswerKind, model: string, fingerprint: string): AnswerHead {
  const id = `${kind === "chat" ? "chatcmpl" : "cmpl"}-${randomUUID().replaceAll("-", "")}`;
  return { id, created: Math.floor(Date.now() / 1000), model, system_fingerprint: fingerprint };
}

/** Reads all pieces, and makes one answer of them. */
export async function wholeAnswer(parts: AnswerParts, pieces: AsyncIterable<Piece>): Promise<object> {
  const { kind, head } = parts;
  const texts: string[] = [];
  const reasons: FinishReason[] = [];
  const told: ToldToken[][] = [];
  const calls: ToolCall[][] = [];
  const counter = new UsageCounter(parts);
  for await (const piece of withCalls(parts, pieces)) {
    const { choice, text, finish } = piece;
    calls[choice] = [...(calls[choice] ?? []), ...piece.calls];
    counter.add(piece);
    texts[choice] = (texts[choice] ?? "") + text;
    told[choice] = [...(told[choice] ?? []), ...piece.told];
    if (finish !== null) reasons[choice] = finish;
  }
  const choices = texts.map((text, index) => ({
    index,
    ...(kind === "chat" ? { message: messageOf(text, calls[index]!) } : { text }),
    logprobs: logprobsOf(parts, told[index]!),
    finish_reason: reasons[index],
  }));
  const object = kind === "chat" ? "chat.completion" : "text_completion";
  return { ...head, object, choices, usage: counter.usage() };
}

/** Reads pieces as they come, and makes an event of each that has something to say; the usage last, if wanted. */
export async function* answerEvents(
  parts: AnswerParts,
  pieces: AsyncIterable<Piece>,
  { includeUsage }: { readonly includeUsage: boolean },
): AsyncGenerator<object, void> {
  const { kind, head } = parts;
  const object = kind === "chat" ? "chat.completion.chunk" : "text_completion";
  const event = (choices: readonly object[], usage: Usage | null = null) =>
    includeUsage ? { ...head, object, choices, usage } : { ...head, object, choices };
  const choice = (
    index: number,
    content: object,
    finish: FinishReason | null,
    told?: readonly ToldToken[],
  ) => {
    const logprobs = told === undefined ? null : logprobsOf(parts, told);
    return event([{ index, ...content, logprobs, finish_reason: finish }]);
  };
  const begun = new Set<number>();
  const called: number[] = [];
  const counter = new UsageCounter(parts);
  for await (const piece of withCalls(parts, pieces)) {
    const { choice: index, text, calls, finish, told } = piece;
    counter.add(piece);
    if (kind === "chat" && !begun.has(index))
      yield choice(index, { delta: { role: "assistant", content: "" } }, null);
    begun.add(index);
    const says = text !== "" || told.length > 0;
    if (!says && calls.length === 0 && finish === null) continue;
    if (kind === "completion") yield choice(index, { text }, finish, told);
    else {
      if (says) yield choice(index, { delta: { content: text } }, null, told);
      for (const call of calls) {
        const number = called[index] ?? 0;
        called[index] = number + 1;
        yield choice(index, { delta: { tool_calls: [{ index: number, ...call }] } }, null);
      }
      if (finish !== null) yield choice(index, { delta: {} }, finish);
    }
  }
  if (includeUsage) yield event([], counter.usage());
}

/** The message of a chat's answer. */
function messageOf(text: string, calls: readonly ToolCall[]): object {
  const content = text === "" && calls.length > 0 ? null : text;
  return { role: "assistant", content, refusal: null, ...(calls.length > 0 ? { tool_calls: calls } : {}) };
}

/** Takes calls of tools out of the text, and says at a choice's end that it called. */
async function* withCalls(
  { tools }: AnswerParts,
  pieces: AsyncIterable<Piece>,
): AsyncGenerator<Piece & Parsed, void> {
  const parsers = new Map<number, ToolCallParser>();
  const called = new Set<number>();
  for await (const piece of pieces) {
    if (tools === null) {
      yield { ...piece, calls: [] };
      continue;
    }
    const { choice, finish } = piece;
    const parser = parsers.get(choice) ?? tools.parser();
    parsers.set(choice, parser);
    let { text, calls } = parser.push(piece.text);
    if (finish !== null) {
      const rest = parser.rest();
      text += rest.text;
      calls = [...calls, ...rest.calls];
    }
    if (calls.length > 0) called.add(choice);
    yield { ...piece, text, calls, finish: finish === "stop" && called.has(choice) ? "tool_calls" : finish };
  }
}

function logprobsOf({ kind, model, logprobs }: AnswerParts, told: readonly ToldToken[]): object | null {
  if (!logprobs) return null;
  return kind === "chat" ? chatLogprobs(model, told) : completionLogprobs(model, told);
}

/** Adds up what pieces say of their tokens. */
class UsageCounter {
  readonly #prompt: number;
  #completion = 0;
  #drafts: { accepted: number; rejected: number } | null = null;

  constructor({ promptTokens }: AnswerParts) {
    this.#prompt = promptTokens;
  }

  add({ tokens, drafted }: Piece): void {
    this.#completion += tokens;
    if (drafted === undefined) return;
    this.#drafts ??= { accepted: 0, rejected: 0 };
    this.#drafts.accepted += drafted.accepted;
    this.#drafts.rejected += drafted.proposed - drafted.accepted;
  }

  usage(): Usage {
    const usage = {
      prompt_tokens: this.#prompt,
      completion_tokens: this.#completion,
      total_tokens: this.#prompt + this.#completion,
    };
    if (this.#drafts === null) return usage;
    const { accepted, rejected } = this.#drafts;
    const details = { accepted_prediction_tokens: accepted, rejected_prediction_tokens: rejected };
    return { ...usage, completion_tokens_details: details };
  }
}
