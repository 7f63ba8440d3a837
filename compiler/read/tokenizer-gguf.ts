import { isDeepStrictEqual } from "node:util";
import { buildTokens, mergeTable, quote, requireByteTokens, splitMerge } from "./tokenizer-build.js";
import { split } from "./tokenizer-json-parts.js";
import type { AddedToken, TokenizerModel } from "./tokenizer-model.js";
import { malformed, maxTokens, unsupported } from "./tokenizer-model.js";
import { gpt2Pattern } from "./tokenizer-regex.js";

/** The token types of GGUF: `tokenizer.ggml.token_type`. */
export const tokenTypes = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** Splits that several families share, in the reference's regex language. */
const digits = "\\p{N}";
const llama3Pattern = cl100k("\\p{N}{1,3}");
const qwen2Pattern = cl100k("\\p{N}");

/** The pattern of OpenAI's cl100k family, which Llama 3 and Qwen 2 use with other runs of digits. */
function cl100k(numbers: string): string {
  return (
    `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${numbers}` +
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
  );
}

interface PreTokenizer {
  /** Names in `tokenizer.ggml.pre`. */
  readonly names: readonly string[];
  /** Isolating splits, in order. */
  readonly patterns: readonly string[];
  readonly ignoreMerges?: boolean;
  /** Whether the beginning-of-sequence token is put in front when the file does not say. */
  readonly addBos?: boolean;
}

/**
 * GGUF does not hold the pre-tokeniser, only a name for it. The patterns are those of the tokenizer.json files
 * that the names were given to. `default` stands for GPT-2's.
 */
const preTokenizers: readonly PreTokenizer[] = [
  {
    names: ["default", "gpt-2", "phi-2", "mpt", "olmo", "jais", "trillion", "granite-docling"],
    patterns: [gpt2Pattern],
  },
  {
    names: ["smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"],
    patterns: [digits, gpt2Pattern],
  },
  {
    names: ["llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral"],
    patterns: [llama3Pattern],
    ignoreMerges: true,
    addBos: true,
  },
  { names: ["dbrx", "smaug-bpe", "chatglm-bpe"], patterns: [llama3Pattern] },
  { names: ["qwen2", "deepseek-r1-qwen", "stablelm2", "hunyuan"], patterns: [qwen2Pattern] },
];

/**
 * Reads the tokenizer from a GGUF file's metadata; null if it has none. Qwen 2's NFC normalisation is not in
 * the file and not applied, as in llama.cpp.
 * @throws GsicError `tokenizer-malformed` or `tokenizer-unsupported`, naming the key
 */
export function fromGguf(metadata: ReadonlyMap<string, unknown>, file: string): TokenizerModel | null {
  const source: Source = {
    get: (key) => metadata.get(`tokenizer.ggml.${key}`),
    where: (key) => `${file}: tokenizer.ggml.${key}`,
  };
  const model = source.get("model");
  switch (model) {
    case undefined:
    case "none":
    case "no_vocab":
      return null;
    case "gpt2":
      return byteLevelModel(source);
    case "llama":
      return sentencepieceModel(source);
    default:
      throw unsupported(`the tokenizer ${quote(String(model))}`, source.where("model"));
  }
}

/** The keys under `tokenizer.ggml`, and how errors name them. */
interface Source {
  readonly get: (key: string) => unknown;
  readonly where: (key: string) => string;
}

interface Vocabulary {
  readonly tokens: readonly string[];
  readonly types: ArrayLike<number>;
  /** Of two equal tokens the first. */
  readonly ids: ReadonlyMap<string, number>;
  readonly added: readonly AddedToken[];
}

function vocabulary(source: Source, specialTypes: readonly number[]): Vocabulary {
  const { get, where } = source;
  const tokens = strings(get("tokens"), where("tokens"));
  if (tokens.length > maxTokens) throw malformed(`${tokens.length} tokens are too many`, where("tokens"));
  const given = get("token_type");
  const types = given === undefined ? [] : numbers(given, tokens.length, where("token_type"));
  const ids = new Map<string, number>();
  tokens.forEach((token, id) => {
    if (!ids.has(token)) ids.set(token, id);
  });
  const added = tokens.flatMap((content, id): AddedToken[] => {
    const special = specialTypes.includes(types[id]!);
    if ((!special && types[id] !== tokenTypes.userDefined) || ids.get(content) !== id || content === "")
      return [];
    return [{ id, content, special, normalized: false, lstrip: false, rstrip: false }];
  });
  return { tokens, types, ids, added };
}

/** A token id that the file names, or `fallback` where it does not. */
function tokenId(source: Source, key: string, count: number, fallback: number | null): number | null {
  const given = source.get(key);
  if (given === undefined) return fallback !== null && fallback < count ? fallback : null;
  const id = Number(given);
  if (id === 0xffffffff) return null;
  if (Number.isInteger(id) && id >= 0 && id < count) return id;
  throw malformed(`${String(given)} is not one of the ${count} tokens`, source.where(key));
}

function prefixOf(source: Source, bos: number | null, byDefault: boolean): number[] {
  return (source.get("add_bos_token") ?? byDefault) === true && bos !== null ? [bos] : [];
}

function byteLevelModel(source: Source): TokenizerModel {
  const { get, where } = source;
  const { tokens, ids, added } = vocabulary(source, [tokenTypes.control]);
  const pre = preTokenizer(get("pre"), where("pre"));
  const merges = strings(get("merges"), where("merges")).map((text, index) =>
    splitMerge(text, index, where("merges")),
  );
  const bos = tokenId(source, "bos_token_id", tokens.length, null);
  return {
    kind: "byte-level",
    ...buildTokens({ kind: "byte-level", ids, added, where: where("tokens") }),
    merges: mergeTable(merges, ids, where("merges")),
    normalizer: "none",
    steps: pre.patterns.map((pattern) => split(pattern, where("pre"))),
    ignoreMerges: pre.ignoreMerges ?? false,
    byteFallback: false,
    unknown: null,
    fuseUnknown: false,
    bos,
    eos: tokenId(source, "eos_token_id", tokens.length, null),
    prefix: prefixOf(source, bos, pre.addBos ?? false),
    stripLeadingSpace: false,
  };
}

function sentencepieceModel(source: Source): TokenizerModel {
  const { get, where } = source;
  const { tokens, types, ids, added } = vocabulary(source, [tokenTypes.control, tokenTypes.unknown]);
  requireByteTokens(ids, where("tokens"));
  const scores = numbers(get("scores"), tokens.length, where("scores"));
  const bos = tokenId(source, "bos_token_id", tokens.length, 1);
  const spaceBefore = get("add_space_prefix") !== false;
  return {
    kind: "metaspace",
    ...buildTokens({ kind: "metaspace", ids, added, where: where("tokens") }),
    merges: mergesOfScores(tokens, ids, scores, types),
    normalizer: spaceBefore ? "prepend-metaspace" : "metaspace",
    steps: [],
    ignoreMerges: false,
    byteFallback: true,
    unknown: tokenId(source, "unknown_token_id", tokens.length, 0),
    fuseUnknown: true,
    bos,
    eos: tokenId(source, "eos_token_id", tokens.length, 2),
    prefix: prefixOf(source, bos, true),
    stripLeadingSpace: spaceBefore,
  };
}

/**
 * What `tokenizer.ggml.pre` calls the way in which a tokenizer cuts text; null if it has no name. Not `default`, by
 * which llama.cpp means something else than GPT-2's way.
 */
export function preTokenizerName({ steps, ignoreMerges }: TokenizerModel): string | null {
  const found = preTokenizers.find((one) => {
    const cuts = one.patterns.map((pattern) => split(pattern, ""));
    return isDeepStrictEqual(cuts, steps) && (one.ignoreMerges ?? false) === ignoreMerges;
  });
  return found?.names.find((name) => name !== "default") ?? null;
}

function preTokenizer(name: unknown, where: string): PreTokenizer {
  const found = preTokenizers.find((it) => it.names.includes(String(name ?? "default")));
  if (found !== undefined) return found;
  const known = preTokenizers.flatMap((it) => it.names).join(", ");
  throw unsupported(`the pre-tokenizer ${quote(String(name))}`, where, `gsic knows ${known}.`);
}

/**
 * Sentencepiece merges any two pieces that make a piece, the best score first; as a table of merges, that is every way to
 * cut every piece in two, by the score of the whole.
 */
function mergesOfScores(
  tokens: readonly string[],
  ids: ReadonlyMap<string, number>,
  scores: ArrayLike<number>,
  types: ArrayLike<number>,
): Uint32Array {
  // Not the tokens themselves: of equal ones the first counts, and some are no pieces.
  const pieces = new Map<string, number>();
  for (const [token, id] of ids)
    if (types[id] === undefined || types[id] === 1 || types[id] === tokenTypes.userDefined)
      pieces.set(token, id);
  const best = [...pieces.values()].sort((a, b) => scores[b]! - scores[a]! || a - b);
  const parts = new PieceFilter(pieces.keys());
  const merges: number[] = [];
  for (const id of best) {
    const token = tokens[id]!;
    parts.begin(token);
    for (let at = 1; at < token.length; at++) {
      if (!parts.mayCut(at) || isInsidePair(token, at)) continue;
      const left = pieces.get(token.slice(0, at));
      const right = left === undefined ? undefined : pieces.get(token.slice(at));
      if (right !== undefined) merges.push(left!, right, id);
    }
  }
  return Uint32Array.from(merges);
}

/**
 * Says of most cuts of a text that one of its halves is no piece, without making the halves: looking up each in a table of
 * strings takes 2.6 million new strings for a vocabulary of 262,144. By a polynomial over UTF-16 units, so that the hash of
 * any part follows from those of what stands before its ends.
 */
class PieceFilter {
  private readonly bits = new Uint8Array(1 << 24);
  private hashes = new Int32Array(64);
  private powers = new Int32Array(64);
  private length = 0;

  constructor(pieces: Iterable<string>) {
    for (const piece of pieces) {
      this.begin(piece);
      this.bits[this.slot(0, piece.length)] = 1;
    }
  }

  /** Takes a text whose cuts are asked for. */
  begin(text: string): void {
    this.length = text.length;
    if (text.length >= this.hashes.length) {
      this.hashes = new Int32Array(2 * text.length);
      this.powers = new Int32Array(2 * text.length);
    }
    this.powers[0] = 1;
    for (let i = 0; i < text.length; i++) {
      this.hashes[i + 1] = (Math.imul(this.hashes[i]!, multiplier) + text.charCodeAt(i) + 1) | 0;
      this.powers[i + 1] = Math.imul(this.powers[i]!, multiplier);
    }
  }

  /** False where the text before `at`, or that behind it, is no piece; true where both may be. */
  mayCut(at: number): boolean {
    return this.bits[this.slot(0, at)] === 1 && this.bits[this.slot(at, this.length)] === 1;
  }

  private slot(begin: number, end: number): number {
    const hash = this.hashes[end]! - Math.imul(this.hashes[begin]!, this.powers[end - begin]!);
    return Math.imul(hash, 0x9e3779b1) >>> 8;
  }
}

const multiplier = 0x01000193;

/** Whether two UTF-16 units of one character stand before and behind `at`. */
function isInsidePair(text: string, at: number): boolean {
  return (text.charCodeAt(at) & 0xfc00) === 0xdc00 && (text.charCodeAt(at - 1) & 0xfc00) === 0xd800;
}

function strings(value: unknown, where: string): readonly string[] {
  if (Array.isArray(value) && value.every((it) => typeof it === "string")) return value;
  throw malformed("a list of strings is expected here", where);
}

function numbers(value: unknown, length: number, where: string): ArrayLike<number> {
  const list =
    Array.isArray(value) || ArrayBuffer.isView(value)
      ? Array.from(value as ArrayLike<unknown>, Number)
      : null;
  if (list === null || list.some(Number.isNaN)) throw malformed("a list of numbers is expected here", where);
  if (list.length !== length) throw malformed(`${list.length} numbers stand beside ${length} tokens`, where);
  return list;
}
