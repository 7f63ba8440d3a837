import { stat } from "node:fs/promises";
import { fromGguf } from "./tokenizer-gguf.js";
import { readTokenizerFolder } from "./tokenizer-json.js";
import type { TokenizerModel } from "./tokenizer-model.js";

export type { EncodeOptions, TextTokenizer } from "./tokenizer-encode.js";
export { textTokenizer } from "./tokenizer-encode.js";
export type {
  AddedToken,
  PreTokenizerStep,
  SplitBehavior,
  TokenizerModel,
  TokenizerNormalizer,
} from "./tokenizer-model.js";
export { serializeTokenizer } from "./tokenizer-native.js";

/** The header of a GGUF file: the tokenizer stands in its metadata. */
export interface GgufTokenizerSource {
  readonly file: string;
  readonly metadata: ReadonlyMap<string, unknown>;
}

/**
 * Reads the tokenizer of a Hugging Face folder or of a GGUF file; null if it has none.
 * @throws GsicError `tokenizer-malformed` if it is broken, `tokenizer-unsupported` if gsic cannot run it
 */
export async function readTokenizer(source: string | GgufTokenizerSource): Promise<TokenizerModel | null> {
  if (typeof source !== "string") return fromGguf(source.metadata, source.file);
  const status = await stat(source).catch(() => null);
  return status?.isDirectory() ? readTokenizerFolder(source) : null;
}
