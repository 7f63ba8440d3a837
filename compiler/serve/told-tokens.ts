/** What clients are told of tokens: how likely they were, and where their text begins. */

import type { Alternative, Model, Token } from "../load.js";

/** A token of a choice, and how likely it was. */
export interface ToldToken {
  readonly id: number;
  /** Where its text begins in the choice's, in characters (code points). */
  readonly offset: number;
  /** Natural; null for the first token of a prompt. */
  readonly logprob: number | null;
  /** The likeliest tokens in its place, the likeliest first. */
  readonly top: readonly Alternative[];
}

/** A token that comes with its log-probability, as a client is told of it. */
export function toldToken({ id, logProbability, alternatives = [] }: Token, offset: number): ToldToken {
  const known = logProbability !== undefined && !Number.isNaN(logProbability);
  return { id, offset, logprob: known ? logProbability : null, top: alternatives };
}

/** Characters of a text. */
export function characters(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}

/** Tokens that wait until it is certain that their text belongs to the choice: a stop sequence may yet take it away. */
export class WaitingTokens {
  #waiting: { readonly token: ToldToken; readonly end: number }[] = [];
  #end: number;

  /** `begin`: characters of the choice so far. */
  constructor(begin: number) {
    this.#end = begin;
  }

  /** A token, if it comes with its log-probability. */
  push(token: Token): void {
    const offset = this.#end;
    this.#end += characters(token.text);
    if (token.logProbability !== undefined)
      this.#waiting.push({ token: toldToken(token, offset), end: this.#end });
  }

  /** Those whose whole text is among the first `released` characters of the choice. */
  take(released: number): ToldToken[] {
    return this.#shift(({ end }) => end <= released);
  }

  /** Those that begin before the choice's end, at `end`. */
  cut(end: number): ToldToken[] {
    return this.#shift(({ token }) => token.offset < end);
  }

  /** All of them. */
  rest(): ToldToken[] {
    return this.#shift(() => true);
  }

  #shift(wanted: (one: { readonly token: ToldToken; readonly end: number }) => boolean): ToldToken[] {
    let count = 0;
    while (count < this.#waiting.length && wanted(this.#waiting[count]!)) count++;
    return this.#waiting.splice(0, count).map(({ token }) => token);
  }
}

/** Where the text of each of a prompt's tokens begins in it; the first `hidden` tokens have none. */
export function promptOffsets(model: Model, ids: Int32Array, hidden: number): number[] {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  let end = 0;
  return Array.from(ids, (id, index) => {
    const offset = end;
    if (index >= hidden) end += characters(decoder.decode(model.bytes(Int32Array.of(id)), { stream: true }));
    return offset;
  });
}

/** As `/v1/completions` has it. */
export function completionLogprobs(model: Model, told: readonly ToldToken[]): object {
  return {
    tokens: told.map(({ id }) => spellOrBytes(model, id)),
    token_logprobs: told.map(({ logprob }) => logprob),
    // OpenAI's, too, has the token itself where it is not among the likeliest.
    top_logprobs: told.map(({ id, logprob, top }) => {
      if (logprob === null) return null;
      const all = [...top, { id, logProbability: logprob }].map(
        (one) => [spellOrBytes(model, one.id), one.logProbability] as const,
      );
      // The first of two that are spelled alike is the likelier one.
      return Object.fromEntries(all.reverse());
    }),
    text_offset: told.map(({ offset }) => offset),
  };
}

/** As `/v1/chat/completions` has it. */
export function chatLogprobs(model: Model, told: readonly ToldToken[]): object {
  const entry = (id: number, logprob: number | null) => {
    const bytes = model.bytes(Int32Array.of(id));
    return { token: new TextDecoder().decode(bytes), logprob, bytes: [...bytes] };
  };
  const content = told.map(({ id, logprob, top }) => ({
    ...entry(id, logprob),
    top_logprobs: top.map((one) => entry(one.id, one.logProbability)),
  }));
  return { content, refusal: null };
}

/** A token's text, or its bytes where they are none: `bytes:\xe2\x80`. */
function spellOrBytes(model: Model, id: number): string {
  const bytes = model.bytes(Int32Array.of(id));
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return `bytes:${[...bytes].map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("")}`;
  }
}
