import * as tokenizers from "@huggingface/tokenizers";
import type { AddedToken, PreTokenizerStep, TokenizerModel } from "./tokenizer-model.js";
import { byteToken, entryOfBytes, fallbackByte, metaspace, ordinaryTokens } from "./tokenizer-model.js";

/** How the text of special tokens is read. */
export interface EncodeOptions {
  /** False: the text of special tokens is ordinary text, as it must be in text that a user typed. Default: true. */
  readonly parseSpecial?: boolean;
}

/** Text to token ids and back. */
export interface TextTokenizer {
  /** The ids of a text, without the model's prefix. Lone surrogates count as U+FFFD. */
  encode(text: string, options?: EncodeOptions): number[];
  /** The text of ids, special tokens included; U+FFFD where the bytes are not UTF-8. Unknown ids are skipped. */
  decode(ids: readonly number[]): string;
}

/** The package's merger; its type declarations do not resolve under NodeNext. */
const { BPE } = tokenizers as unknown as {
  BPE: new (config: {
    type: "BPE";
    vocab: Readonly<Record<string, number>>;
    merges: readonly (readonly [string, string])[];
    ignore_merges: boolean;
  }) => { bpe(word: string): string[] };
};

/** A piece of the text: an added token, or text to look at further; `first` where it begins the whole text. */
type Section = { readonly id: number } | { readonly text: string; readonly first: boolean };

/**
 * Makes a tokenizer. The merging is that of the package @huggingface/tokenizers; what leads to it is done here,
 * because the package deviates from the reference there: see `tokenizer.test.ts`, "deviations".
 */
export function textTokenizer(model: TokenizerModel): TextTokenizer {
  const normalize = normalizerOf(model);
  const raw = new AddedTokenFinder(
    model.added.filter((token) => !token.normalized || model.normalizer === "none"),
  );
  const normalized = new AddedTokenFinder(
    model.added
      .filter((token) => token.normalized && model.normalizer !== "none")
      .map((token) => ({ ...token, content: normalize(token.content) })),
  );
  const steps = model.steps.map(stepFunction);
  const merge = mergerOf(model);

  const encodeText = (section: { text: string; first: boolean }): number[] => {
    let pieces = [section.text];
    for (const step of steps) {
      pieces = pieces.flatMap((piece, index) => step(piece, section.first && index === 0));
      pieces = pieces.filter((piece) => piece !== "");
    }
    return pieces.flatMap(merge);
  };

  return {
    encode: (text, { parseSpecial = true } = {}) =>
      raw
        .split({ text: Buffer.from(text).toString(), first: true }, parseSpecial)
        .map((section) => ("id" in section ? section : { ...section, text: normalize(section.text) }))
        .flatMap((section) => ("id" in section ? [section] : normalized.split(section, parseSpecial)))
        .flatMap((section) => ("id" in section ? [section.id] : encodeText(section))),
    decode: (ids) => (model.kind === "byte-level" ? decodeBytes(model, ids) : decodePieces(model, ids)),
  };
}

function normalizerOf(model: TokenizerModel): (text: string) => string {
  switch (model.normalizer) {
    case "none":
      return (text) => text;
    case "nfc":
      return (text) => text.normalize("NFC");
    case "metaspace":
      return (text) => text.replaceAll(" ", metaspace);
    case "prepend-metaspace":
      return (text) => (text === "" ? "" : metaspace + text.replaceAll(" ", metaspace));
    default:
      return model.normalizer satisfies never;
  }
}

/** Finds added tokens: the leftmost, and of those the longest. */
class AddedTokenFinder {
  private readonly byFirst = new Map<string, AddedToken[]>();

  constructor(tokens: readonly AddedToken[]) {
    for (const token of tokens) {
      const sameFirst = this.byFirst.get(token.content[0]!);
      if (sameFirst === undefined) this.byFirst.set(token.content[0]!, [token]);
      else sameFirst.push(token);
    }
    for (const list of this.byFirst.values()) list.sort((a, b) => b.content.length - a.content.length);
  }

  split(section: { text: string; first: boolean }, parseSpecial: boolean): Section[] {
    const { text } = section;
    const sections: Section[] = [];
    let done = 0;
    const flush = (end: number) => {
      if (end > done) sections.push({ text: text.slice(done, end), first: section.first && done === 0 });
    };
    for (let at = 0; at < text.length; ) {
      const token = this.byFirst.get(text[at]!)?.find((it) => text.startsWith(it.content, at));
      if (token === undefined) {
        at++;
        continue;
      }
      let end = at + token.content.length;
      if (parseSpecial || !token.special) {
        flush(token.lstrip ? done + text.slice(done, at).replace(/\p{White_Space}+$/u, "").length : at);
        if (token.rstrip) end += /^\p{White_Space}*/u.exec(text.slice(end))![0].length;
        sections.push({ id: token.id });
        done = end;
      }
      at = end;
    }
    flush(text.length);
    return sections;
  }
}

function stepFunction(step: PreTokenizerStep): (piece: string, first: boolean) => string[] {
  switch (step.kind) {
    case "prefix-space":
      return (piece) => [piece.startsWith(" ") ? piece : ` ${piece}`];
    case "metaspace":
      return (piece, first) => {
        const text = piece.replaceAll(" ", metaspace);
        const prepend = step.prepend === "always" || (step.prepend === "first" && first);
        return [prepend && !text.startsWith(metaspace) ? metaspace + text : text];
      };
    case "split": {
      const pattern = new RegExp(step.pattern, "gu");
      return (piece) => join(cut(piece, pattern, step.invert), step.behavior);
    }
    default:
      return step satisfies never;
  }
}

interface Cut {
  text: string;
  readonly matched: boolean;
}

/** Matches and the gaps between them, in order. */
function cut(text: string, pattern: RegExp, invert: boolean): Cut[] {
  const cuts: Cut[] = [];
  let done = 0;
  for (const match of text.matchAll(pattern)) {
    if (match.index > done) cuts.push({ text: text.slice(done, match.index), matched: invert });
    cuts.push({ text: match[0], matched: !invert });
    done = match.index + match[0].length;
  }
  if (done < text.length) cuts.push({ text: text.slice(done), matched: invert });
  return cuts;
}

function join(
  cuts: readonly Cut[],
  behavior: Extract<PreTokenizerStep, { kind: "split" }>["behavior"],
): string[] {
  const result: Cut[] = [];
  switch (behavior) {
    case "isolated":
      return cuts.map((it) => it.text);
    case "removed":
      return cuts.filter((it) => !it.matched).map((it) => it.text);
    case "contiguous":
      for (const it of cuts) {
        const last = result.at(-1);
        if (last?.matched === it.matched) last.text += it.text;
        else result.push({ ...it });
      }
      return result.map((it) => it.text);
    case "merged-with-previous":
      cuts.forEach((it, index) => {
        const last = result.at(-1);
        if (it.matched && last !== undefined && !cuts[index - 1]!.matched) last.text += it.text;
        else result.push({ ...it });
      });
      return result.map((it) => it.text);
    case "merged-with-next":
      cuts.forEach((it, index) => {
        const previous = cuts[index - 1];
        if (previous?.matched && !it.matched) result.at(-1)!.text += it.text;
        else result.push({ ...it });
      });
      return result.map((it) => it.text);
    default:
      return behavior satisfies never;
  }
}

/**
 * The ids of one piece of pre-tokenised text. The reference drops what has no token *before* it merges, so that
 * its neighbours meet; the package would keep it between them.
 */
function mergerOf(model: TokenizerModel): (piece: string) => number[] {
  const byteLevel = model.kind === "byte-level";
  const utf8 = new TextEncoder();
  const text = new TextDecoder("utf-8", { ignoreBOM: true });
  const entry = (bytes: Uint8Array) => (byteLevel ? entryOfBytes(bytes) : text.decode(bytes));
  const ids = new Map<string, number>();
  const take = (id: number) => {
    const key = entry(model.tokens[id]!);
    if (!ids.has(key)) ids.set(key, id);
  };
  // Of equal tokens the one that merges make counts.
  for (const id of model.merges) take(id);
  ordinaryTokens(model).forEach((ordinary, id) => {
    if (ordinary === 1) take(id);
  });
  const merges: [string, string][] = [];
  for (let at = 0; at < model.merges.length; at += 3) {
    merges.push([entry(model.tokens[model.merges[at]!]!), entry(model.tokens[model.merges[at + 1]!]!)]);
  }
  const bpe = new BPE({ type: "BPE", vocab: Object.fromEntries(ids), merges, ignore_merges: false });

  const fallback = (character: string): number[] | null => {
    if (!model.byteFallback) return null;
    const tokens = Array.from(utf8.encode(character), (byte) => ids.get(byteToken(byte)));
    return tokens.every((id) => id !== undefined) ? tokens : null;
  };
  const unmerged = (symbol: string, result: number[]): void => {
    const bytes = fallback(symbol);
    if (bytes !== null) result.push(...bytes);
    else if (model.unknown !== null && !(model.fuseUnknown && result.at(-1) === model.unknown)) {
      result.push(model.unknown);
    }
  };
  return (piece) => {
    let word = byteLevel ? entryOfBytes(utf8.encode(piece)) : piece;
    const whole = model.ignoreMerges ? ids.get(word) : undefined;
    if (whole !== undefined) return [whole];
    if (!model.byteFallback && model.unknown === null) {
      word = Array.from(word)
        .filter((symbol) => ids.has(symbol))
        .join("");
    }
    const result: number[] = [];
    for (const symbol of bpe.bpe(word)) {
      const id = ids.get(symbol);
      if (id !== undefined) result.push(id);
      else unmerged(symbol, result);
    }
    return result;
  };
}

function decodeBytes(model: TokenizerModel, ids: readonly number[]): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(
    Buffer.concat(ids.map((id) => model.tokens[id] ?? new Uint8Array())),
  );
}

/** As the reference: a run of byte tokens that is not UTF-8 becomes one U+FFFD for each of its bytes. */
function decodePieces(model: TokenizerModel, ids: readonly number[]): string {
  const lossless = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });
  let text = "";
  let run: number[] = [];
  const flush = () => {
    try {
      text += lossless.decode(Uint8Array.from(run));
    } catch {
      text += "\ufffd".repeat(run.length);
    }
    run = [];
  };
  for (const id of ids) {
    const piece = new TextDecoder("utf-8", { ignoreBOM: true }).decode(model.tokens[id] ?? new Uint8Array());
    const byte = model.byteFallback ? fallbackByte(piece) : null;
    if (byte !== null) {
      run.push(byte);
    } else {
      flush();
      text += piece.replaceAll(metaspace, " ");
    }
  }
  flush();
  return model.stripLeadingSpace && text.startsWith(" ") ? text.slice(1) : text;
}
