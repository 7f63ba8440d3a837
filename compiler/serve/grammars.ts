/** Texts that obey a grammar: which tokens may come next, asked of a thread of its own (grammar-worker.mjs). */

import PQueue from "p-queue";
import type { Constraint, Model, NextTokens } from "../load.js";
import { messageOf } from "../support/errors.js";
import { badField } from "./errors.js";
import { GrammarThread, type GrammarWords } from "./grammar-thread.js";

/** A grammar, as the thread takes it, and the field that it comes from. */
export type GrammarSpec = { readonly param: string } & (
  | /** Values of a JSON schema. `strict`: without properties that it does not name. */
  { readonly kind: "schema"; readonly schema: unknown; readonly strict: boolean }
  /** A grammar in EBNF, as XGrammar and llama.cpp (GBNF) have it; its first rule is `root`. */
  | { readonly kind: "grammar"; readonly grammar: string }
  /** A structural tag of XGrammar: text, tags and what stands between them. */
  | { readonly kind: "tags"; readonly format: object }
);

/** A grammar that is compiled. */
export interface Grammar {
  /** Begins a text that obeys it. */
  begin(): Promise<GrammarText>;
  close(): void;
}

/** A text that obeys a grammar. */
export interface GrammarText {
  readonly constraint: Constraint;
  close(): void;
}

/** What a server has grammars of: its vocabulary, and what ends a text. */
interface GrammarVocabulary {
  readonly model: Model;
  readonly chat: { readonly endIds: ReadonlySet<number> } | null;
}

/** Seconds that a grammar may take to be compiled; and those in which it is said what comes next, behind others' questions. */
const patience = { trial: 10, text: 120 } as const;

/** Tokens that are proposed together at most. */
const mostAhead = 15;

/**
 * Grammars of one model. One thread tries to compile them, and begins anew after one that ended it; another has those
 * that can be compiled, and the texts that obey them. So a bad grammar ends nobody's text.
 */
export class Grammars {
  readonly #vocabulary: GrammarVocabulary;
  #words: Promise<GrammarWords> | null = null;
  /** One at a time: whom the thread fails is then at fault. */
  readonly #trials = new PQueue({ concurrency: 1 });
  #trial: GrammarThread | null = null;
  #thread: GrammarThread | null = null;
  #count = 0;

  constructor(vocabulary: GrammarVocabulary) {
    this.#vocabulary = vocabulary;
  }

  /** Throws an `ApiError` 400 for a grammar that cannot be compiled, with the library's reason. */
  async compile(spec: GrammarSpec): Promise<Grammar> {
    this.#words ??= wordsOf(this.#vocabulary);
    const words = await this.#words;
    const grammar = this.#count++;
    await this.#trials.add(() => this.#try(spec, words));
    this.#thread = alive(this.#thread, words, patience.text);
    const thread = this.#thread;
    await thread.call({ kind: "compile", grammar, spec });
    const begin = async () => {
      const text = this.#count++;
      await thread.call({ kind: "begin", grammar, text });
      const constraint = (ids: Int32Array) => this.#next(thread, text, ids);
      return { constraint, close: () => thread.forget({ kind: "end", text }) };
    };
    return { begin, close: () => thread.forget({ kind: "drop", grammar }) };
  }

  async #try(spec: GrammarSpec, words: GrammarWords): Promise<void> {
    this.#trial = alive(this.#trial, words, patience.trial);
    await this.#trial.call({ kind: "try", spec }).catch((error: unknown) => {
      const message = `${spec.param} cannot be compiled: ${messageOf(error)}`;
      throw badField(spec.param, message, "invalid_grammar");
    });
  }

  /** Ends the threads. */
  close(): void {
    for (const thread of [this.#trial, this.#thread]) thread?.end("the server stops");
  }

  async #next(thread: GrammarThread, text: number, ids: Int32Array): Promise<NextTokens> {
    const { masks, ahead } = await thread.call({ kind: "next", text, ids });
    const [mask] = masks ?? [];
    // Behind its end a text has nothing but an end.
    if (mask === undefined) return { masks: await this.#endMask(), ahead: new Int32Array(0) };
    if (!ahead) return { masks: mask, ahead: new Int32Array(0) };
    const guess = (await this.#encode(ahead)).subarray(0, mostAhead);
    const { masks: behind = [] } = await thread.call({ kind: "ahead", text, ids: guess });
    const all = new Int32Array(mask.length * (behind.length + 1));
    for (const [index, one] of [mask, ...behind].entries()) all.set(one, index * mask.length);
    return { masks: all, ahead: guess.subarray(0, behind.length) };
  }

  async #endMask(): Promise<Int32Array> {
    const { words, stopIds } = await this.#words!;
    const mask = new Int32Array(Math.ceil(words.length / 32));
    for (const id of stopIds) mask[id >> 5]! |= 1 << (id & 31);
    return mask;
  }

  /** What stands in front of every text does not stand in front of a part of one. */
  async #encode(text: string): Promise<Int32Array> {
    const { model } = this.#vocabulary;
    return (await model.encode(text, { special: false })).subarray((await model.encode("")).length);
  }
}

function alive(thread: GrammarThread | null, words: GrammarWords, seconds: number): GrammarThread {
  return thread === null || thread.ended ? new GrammarThread(words, seconds) : thread;
}

/** What a model writes with: special tokens are written without a text. */
async function wordsOf({ model, chat }: GrammarVocabulary): Promise<GrammarWords> {
  const { endOfText, vocabulary } = model.info;
  const prefix = (await model.encode("")).length;
  const special = new Set<number>();
  for (const text of model.specialTexts())
    for (const id of (await model.encode(text)).subarray(prefix)) special.add(id);
  const words = Array.from({ length: vocabulary }, (_, id) =>
    special.has(id) ? null : model.bytes(Int32Array.of(id)),
  );
  const stopIds = [...new Set([...(endOfText === null ? [] : [endOfText]), ...(chat?.endIds ?? [])])];
  return { words, stopIds };
}
