import type { Config } from "../config/config.js";
import { closeQuietly, decodeUtf8, type OpenFile, openFile, readWhole } from "../read/file.js";
import { type TextTokenizer, type TokenizerModel, textTokenizer } from "../read/tokenizer.js";
import { GsicError, messageOf } from "../support/errors.js";

/** Tokens of an n-gram that may not stand in both calibration and held-out text. */
const overlapLength = 13;

/** Text is held in memory whole, and Node's strings end here. */
const maxBytes = 1 << 29;

/**
 * Refuses a configuration whose texts cannot be used, before anything is computed from them: each must be a file that
 * can be read, and held-out text must not repeat calibration text.
 */
export function checkTexts({ calibration, heldout }: Config, model: TokenizerModel | null): void {
  for (const file of [...calibration.text, ...heldout.text]) closeQuietly(openText(file).descriptor);
  if (model === null || calibration.text.length === 0 || heldout.text.length === 0) return;
  const tokenizer = textTokenizer(model);
  const seen = encodeFiles(calibration.text, tokenizer, calibration.tokens);
  const { validation, quoted } = heldoutParts(heldout.text, tokenizer, heldout.tokens);
  const held = Int32Array.from([...validation, ...quoted]);
  refuseOverlap(seen, held, tokenizer, heldout.text.join(", "));
}

/** Token ids of text files, the first `limit` of them. */
export function encodeFiles(files: readonly string[], tokenizer: TextTokenizer, limit: number): Int32Array {
  const ids: number[] = [];
  for (const file of files) {
    if (ids.length >= limit) break;
    ids.push(...encodeFile(file, tokenizer, limit - ids.length));
  }
  if (ids.length === 0) {
    throw new GsicError({
      category: "data",
      code: "text-empty",
      message: "the text holds no token",
      where: files.join(", "),
      hint: "name files with text in model.toml",
    });
  }
  return Int32Array.from(ids.slice(0, limit));
}

/** Held-out text in two parts: the planner validates on one, and nothing is chosen by the other. */
interface HeldoutParts {
  readonly validation: Int32Array;
  readonly quoted: Int32Array;
}

/** The first and the second half of each file's share of the tokens; files share alike. */
export function heldoutParts(
  files: readonly string[],
  tokenizer: TextTokenizer,
  tokens: number,
): HeldoutParts {
  const share = Math.max(1, Math.floor(tokens / Math.max(1, files.length)));
  const encoded = files.map((file) => encodeFiles([file], tokenizer, share));
  const part = (of: (ids: Int32Array) => Int32Array) =>
    Int32Array.from(encoded.flatMap((ids) => Array.from(of(ids))));
  return {
    validation: part((ids) => ids.subarray(0, ids.length >> 1)),
    quoted: part((ids) => ids.subarray(ids.length >> 1)),
  };
}

function encodeFile(file: string, tokenizer: TextTokenizer, limit: number): number[] {
  let text: string;
  try {
    text = decodeUtf8(readWhole(file, maxBytes), file, 0);
  } catch (cause) {
    throw unreadable(file, cause);
  }
  // Eight characters a token is more than any text needs, so that a large file is not encoded whole for a small part.
  const enough = Math.min(text.length, Math.max(limit * 16, 1 << 16));
  return tokenizer.encode(text.slice(0, enough), { parseSpecial: false }).slice(0, limit);
}

function openText(file: string): OpenFile {
  try {
    return openFile(file);
  } catch (cause) {
    throw unreadable(file, cause);
  }
}

function unreadable(file: string, cause: unknown): GsicError {
  return new GsicError({
    category: "data",
    code: "text-unreadable",
    message: messageOf(cause),
    where: cause instanceof GsicError && cause.where !== undefined ? cause.where : file,
    hint: "text files are UTF-8; paths in model.toml are relative to that file",
    cause,
  });
}

/** The tokenizer of a model, or the error that says what needs one. */
export function requireTokenizer(
  model: TokenizerModel | null,
  source: string,
  purpose: string,
): TextTokenizer {
  if (model !== null) return textTokenizer(model);
  throw new GsicError({
    category: "data",
    code: "tokenizer-missing",
    message: `${purpose} needs a tokenizer, and the model has none`,
    where: source,
    hint: "put tokenizer.json beside the weights, or use exact mode with token ids",
  });
}

/**
 * Refuses held-out text that repeats calibration text: any run of 13 tokens that stands in both, unless the run says
 * nothing (fewer than 4 distinct tokens). Figures measured on seen text flatter.
 */
export function refuseOverlap(
  calibration: Int32Array,
  heldout: Int32Array,
  tokenizer: TextTokenizer,
  where: string,
) {
  const seen = new Set<string>();
  for (const [gram] of grams(calibration)) seen.add(gram);
  for (const [gram, at] of grams(heldout)) {
    if (!seen.has(gram)) continue;
    const shown = tokenizer.decode(Array.from(heldout.subarray(at, at + overlapLength)));
    throw new GsicError({
      category: "data",
      code: "heldout-overlap",
      message: `held-out text repeats calibration text: ${JSON.stringify(shown)}`,
      where: `${where}: token ${at}`,
      hint: "take held-out text from other documents than calibration text",
    });
  }
}

function* grams(ids: Int32Array): Generator<[string, number]> {
  for (let at = 0; at + overlapLength <= ids.length; at++) {
    const gram = ids.subarray(at, at + overlapLength);
    if (new Set(gram).size >= 4) yield [gram.join(), at];
  }
}

/**
 * Ids as windows that native passes read one after another: each begins with what the tokenizer puts before every
 * text (usually nothing, or BOS). A last window of a single token is dropped unless it is the only one. Throws
 * `window-too-short` (category usage).
 */
export function asWindows(ids: Int32Array, prefix: readonly number[], window: number): Int32Array {
  if (prefix.length === 0) return ids;
  const room = window - prefix.length;
  if (room < 1) {
    throw new GsicError({
      category: "usage",
      code: "window-too-short",
      message: `a window of ${window} has no room behind the ${prefix.length} tokens that begin every text`,
      where: "model.toml: calibration.window",
      hint: `raise it above ${prefix.length}`,
    });
  }
  const out: number[] = [];
  for (let at = 0; at < ids.length; at += room) {
    const part = ids.subarray(at, at + room);
    if (at === 0 || part.length > 1) out.push(...prefix, ...part);
  }
  return Int32Array.from(out);
}
