import type { GgufField } from "../read/gguf-write.js";
import type { TokenizerModel } from "../read/tokenizer.js";
import { preTokenizerName, tokenTypes } from "../read/tokenizer-gguf.js";
import { entryOfBytes, fallbackByte } from "../read/tokenizer-model.js";
import { GsicError } from "../support/errors.js";

/** Metadata that is not encoded yet. */
export type Fields = Record<string, GgufField>;

/**
 * A tokenizer as llama.cpp's metadata, with one token for each of the `vocabulary` rows of the model's embedding. Throws
 * `export-tokenizer` (category data) where llama.cpp has no counterpart.
 */
export function tokenizerFields(model: TokenizerModel, vocabulary: number, source: string): Fields {
  const fields =
    model.kind === "byte-level" ? byteLevel(model, vocabulary, source) : metaspace(model, vocabulary, source);
  const ids = { bos: model.bos, eos: model.eos };
  for (const [name, id] of Object.entries(ids))
    if (id !== null) fields[`tokenizer.ggml.${name}_token_id`] = { type: "u32", value: id };
  const [first, ...rest] = model.prefix;
  if (rest.length > 0 || (first !== undefined && first !== model.bos))
    throw refused("puts other tokens than the beginning of text before a text", source);
  fields["tokenizer.ggml.add_bos_token"] = { type: "bool", value: first !== undefined };
  return fields;
}

function byteLevel(model: TokenizerModel, vocabulary: number, source: string): Fields {
  const pre = preTokenizerName(model);
  if (pre === null) throw refused("cuts text in a way that llama.cpp has no name for", source);
  const entries = entriesOf(model, vocabulary, entryOfBytes);
  const merges: string[] = [];
  for (let at = 0; at < model.merges.length; at += 3)
    merges.push(`${entries.tokens[model.merges[at]!]} ${entries.tokens[model.merges[at + 1]!]}`);
  return {
    "tokenizer.ggml.model": { type: "string", value: "gpt2" },
    "tokenizer.ggml.pre": { type: "string", value: pre },
    "tokenizer.ggml.tokens": { type: "strings", value: entries.tokens },
    "tokenizer.ggml.token_type": { type: "i32s", value: entries.types },
    "tokenizer.ggml.merges": { type: "strings", value: merges },
  };
}

function metaspace(model: TokenizerModel, vocabulary: number, source: string): Fields {
  if (!model.byteFallback) throw refused("has no tokens for bytes", source);
  const decoder = new TextDecoder();
  const entries = entriesOf(model, vocabulary, (bytes) => decoder.decode(bytes));
  const types = entries.types.map((type, id) => {
    if (type !== tokenTypes.normal) return type;
    if (id === model.unknown) return tokenTypes.unknown;
    return fallbackByte(entries.tokens[id]!) === null ? type : tokenTypes.byte;
  });
  const spaces = model.steps.find((step) => step.kind === "metaspace");
  const before =
    model.normalizer === "prepend-metaspace" || (spaces !== undefined && spaces.prepend !== "never");
  const unknown = model.unknown === null ? {} : { unknown_token_id: model.unknown };
  return {
    "tokenizer.ggml.model": { type: "string", value: "llama" },
    "tokenizer.ggml.pre": { type: "string", value: "default" },
    "tokenizer.ggml.tokens": { type: "strings", value: entries.tokens },
    "tokenizer.ggml.token_type": { type: "i32s", value: types },
    "tokenizer.ggml.scores": { type: "f32s", value: scoresOf(model, vocabulary) },
    "tokenizer.ggml.add_space_prefix": { type: "bool", value: before },
    ...Object.fromEntries(
      Object.entries(unknown).map(([key, value]) => [`tokenizer.ggml.${key}`, { type: "u32", value }]),
    ),
  };
}

/** What llama.cpp merges first has the best score: the order of the merges, and behind them what none of them makes. */
function scoresOf({ merges }: TokenizerModel, vocabulary: number): number[] {
  const scores = new Array<number>(vocabulary).fill(-merges.length / 3);
  for (let at = merges.length - 3; at >= 0; at -= 3) {
    const merged = merges[at + 2]!;
    if (merged < vocabulary) scores[merged] = -at / 3;
  }
  return scores;
}

/** The texts and types of all tokens; rows of the embedding that have no token get one that no text makes. */
function entriesOf(
  { tokens, added }: TokenizerModel,
  vocabulary: number,
  entryOf: (bytes: Uint8Array) => string,
): { tokens: string[]; types: number[] } {
  const special = new Map(added.map((token) => [token.id, token]));
  const all = Array.from({ length: vocabulary }, (_, id): readonly [string, number] => {
    const token = special.get(id);
    if (token !== undefined)
      return [token.content, token.special ? tokenTypes.control : tokenTypes.userDefined];
    const bytes = tokens[id] ?? new Uint8Array(0);
    return bytes.length === 0 ? [`[PAD${id}]`, tokenTypes.unused] : [entryOf(bytes), tokenTypes.normal];
  });
  return { tokens: all.map(([token]) => token), types: all.map(([, type]) => type) };
}

function refused(what: string, source: string): GsicError {
  return new GsicError({
    category: "data",
    code: "export-tokenizer",
    message: `the tokenizer ${what}`,
    where: source,
    hint: "convert the model with llama.cpp's convert_hf_to_gguf.py, and build from that file",
  });
}
