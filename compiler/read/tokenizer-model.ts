import { GsicError } from "../support/errors.js";

/** What happens to the text that a split's pattern matches; named as in Hugging Face's `tokenizers`. */
export type SplitBehavior =
  | "isolated"
  | "removed"
  | "merged-with-previous"
  | "merged-with-next"
  | "contiguous";

/**
 * One step of pre-tokenisation; each step maps every piece of the one before to pieces. `Digits` and `ByteLevel`
 * with its own regex are splits too, so a reader turns them into one.
 */
export type PreTokenizerStep =
  /**
   * Cuts a piece at the matches of `pattern`, which is portable: both a JavaScript regular expression with the
   * flag `u` and a PCRE2 one with UTF and UCP (see `portablePattern`). `invert` swaps matches and gaps.
   */
  | {
      readonly kind: "split";
      readonly pattern: string;
      readonly behavior: SplitBehavior;
      readonly invert: boolean;
    }
  /** Puts a space before a piece that does not begin with one. */
  | { readonly kind: "prefix-space" }
  /** Replaces spaces by U+2581 and puts one in front: of every piece, of the text's first one, or of none. */
  | { readonly kind: "metaspace"; readonly prepend: "always" | "first" | "never" };

/**
 * What is done to the text between added tokens before pre-tokenisation. `metaspace`: spaces become U+2581;
 * `prepend-metaspace`: and one more is put in front.
 */
export type TokenizerNormalizer = "none" | "nfc" | "metaspace" | "prepend-metaspace";

/** A token that is looked for in the text before anything else happens to it. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  /** A control token: not text that a user may type, nor text to show. */
  readonly special: boolean;
  /** Looked for in the normalised text, by its normalised content. */
  readonly normalized: boolean;
  /** Swallows the white space before it, or after it. */
  readonly lstrip: boolean;
  readonly rstrip: boolean;
}

/** A BPE tokenizer as plain data; every reader gives this, and every back end takes it. */
export interface TokenizerModel {
  /**
   * `byte-level`: BPE over bytes; a token is its bytes. `metaspace`: BPE over code points with U+2581 for a
   * space, as sentencepiece does; a token is the UTF-8 of its piece as it stands in the vocabulary.
   */
  readonly kind: "byte-level" | "metaspace";
  /** Indexed by token id; empty where the vocabulary has a hole. Added tokens are the UTF-8 of their content. */
  readonly tokens: readonly Uint8Array[];
  /** (left, right, merged) token ids, three a merge, best merge first. */
  readonly merges: Uint32Array;
  readonly added: readonly AddedToken[];
  readonly normalizer: TokenizerNormalizer;
  readonly steps: readonly PreTokenizerStep[];
  /** A piece that is a token as a whole is taken without looking at the merges. */
  readonly ignoreMerges: boolean;
  /** A code point without a token becomes the tokens `<0x00>` to `<0xFF>` of its UTF-8. */
  readonly byteFallback: boolean;
  /** Stands for what has no token; null: it vanishes, as in the reference. */
  readonly unknown: number | null;
  /** Neighbouring unknowns become one token. */
  readonly fuseUnknown: boolean;
  readonly bos: number | null;
  readonly eos: number | null;
  /** What the tokenizer itself puts before every text; `encode` does not. Usually [] or [bos]. */
  readonly prefix: readonly number[];
  /** Decoding a whole text drops one space at its start. */
  readonly stripLeadingSpace: boolean;
}

/** The character that stands for a space in sentencepiece's vocabularies. */
export const metaspace = "\u2581";

/** Ids beyond this are refused: 16 times the largest vocabulary in use. */
export const maxTokens = 1 << 22;

const encoder = new TextEncoder();

/** GPT-2's printable stand-in for each byte: itself where it is printable Latin-1, else 256 onwards in order. */
const byteCharacters: readonly string[] = (() => {
  const printable = (byte: number) =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(printable(byte) ? byte : next++));
})();

const bytesOfCharacters = new Map(byteCharacters.map((character, byte) => [character, byte]));

/** The bytes that a byte-level vocabulary entry stands for, or its UTF-8 if it holds any other character. */
export function bytesOfEntry(entry: string): Uint8Array {
  const bytes: number[] = [];
  for (const character of entry) {
    const byte = bytesOfCharacters.get(character);
    if (byte === undefined) return encoder.encode(entry);
    bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}

/** The byte-level vocabulary entry of bytes: one character a byte. */
export function entryOfBytes(bytes: Uint8Array): string {
  let entry = "";
  for (const byte of bytes) entry += byteCharacters[byte];
  return entry;
}

/** The name of the token that stands for a byte, such as `<0x0A>`. */
export function byteToken(byte: number): string {
  return `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
}

/** The byte of a token such as `<0x0A>`, or null. */
export function fallbackByte(piece: string): number | null {
  const match = /^<0x([0-9A-F]{2})>$/.exec(piece);
  return match === null ? null : Number.parseInt(match[1]!, 16);
}

/** By id, 1 of tokens that text can become by lookup or merging: all but added ones, which take part only through merges. */
export function ordinaryTokens(model: TokenizerModel): Uint8Array {
  const ordinary = Uint8Array.from(model.tokens, (token) => (token.length > 0 ? 1 : 0));
  for (const { id } of model.added) ordinary[id] = 0;
  for (const id of model.merges) ordinary[id] = 1;
  return ordinary;
}

/** The error for a tokenizer that is well-formed but beyond what gsic runs. */
export function unsupported(what: string, where: string, hint?: string): GsicError {
  return new GsicError({
    category: "data",
    code: "tokenizer-unsupported",
    message: `${what} is not supported`,
    where,
    hint:
      hint ?? "gsic runs byte-level BPE (GPT-2, Llama 3, Qwen) and sentencepiece BPE (Llama 2, TinyLlama).",
  });
}

/** The error for a tokenizer that is broken. */
export function malformed(message: string, where: string, cause?: unknown): GsicError {
  return new GsicError({
    category: "data",
    code: "tokenizer-malformed",
    message,
    where,
    hint: "Fetch the file again, or write it anew with the tokenizers library.",
    ...(cause === undefined ? {} : { cause }),
  });
}
