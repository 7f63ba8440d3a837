/** Answers as OpenAI's interface has them, whole or in events. */

import { randomUUID } from "node:crypto";
import type { FinishReason, Piece } from "./generation.js";

/** What is counted of a request. */
interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
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
export async function wholeAnswer(
  kind: AnswerKind,
  head: AnswerHead,
  pieces: AsyncIterable<Piece>,
  promptTokens: number,
): Promise<object> {
  const texts: string[] = [];
  const reasons: FinishReason[] = [];
  let tokens = 0;
  for await (const piece of pieces) {
    texts[piece.choice] = (texts[piece.choice] ?? "") + piece.text;
    tokens += piece.tokens;
    if (piece.finish !== null) reasons[piece.choice] = piece.finish;
  }
  const choices = texts.map((text, index) => ({
    index,
    ...(kind === "chat" ? { message: { role: "assistant", content: text, refusal: null } } : { text }),
    logprobs: null,
    finish_reason: reasons[index],
  }));
  const object = kind === "chat" ? "chat.completion" : "text_completion";
  return { ...head, object, choices, usage: usageOf(promptTokens, tokens) };
}

/** Reads pieces as they come, and makes an event of each that has something to say; the usage last, if wanted. */
export async function* answerEvents(
  kind: AnswerKind,
  head: AnswerHead,
  pieces: AsyncIterable<Piece>,
  { promptTokens, includeUsage }: { readonly promptTokens: number; readonly includeUsage: boolean },
): AsyncGenerator<object, void> {
  const object = kind === "chat" ? "chat.completion.chunk" : "text_completion";
  const event = (choices: readonly object[], usage: Usage | null = null) =>
    includeUsage ? { ...head, object, choices, usage } : { ...head, object, choices };
  const choice = (index: number, content: object, finish: FinishReason | null) =>
    event([{ index, ...content, logprobs: null, finish_reason: finish }]);
  const begun = new Set<number>();
  let tokens = 0;
  for await (const { choice: index, text, tokens: count, finish } of pieces) {
    tokens += count;
    if (kind === "chat" && !begun.has(index))
      yield choice(index, { delta: { role: "assistant", content: "" } }, null);
    begun.add(index);
    if (text === "" && finish === null) continue;
    if (kind === "completion") yield choice(index, { text }, finish);
    else {
      if (text !== "") yield choice(index, { delta: { content: text } }, null);
      if (finish !== null) yield choice(index, { delta: {} }, finish);
    }
  }
  if (includeUsage) yield event([], usageOf(promptTokens, tokens));
}

function usageOf(prompt: number, completion: number): Usage {
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
  };
}
