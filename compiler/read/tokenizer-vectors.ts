import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { type TokenizerModel, textTokenizer } from "./tokenizer.js";

/** Reference ids; `fixtures/tokenizers/make.py` says what each field means. */
interface TokenizerVectors {
  readonly prefix: readonly number[];
  readonly cases: readonly {
    readonly text: string;
    readonly ids: number[];
    readonly as_text?: number[];
    readonly decoded?: string;
  }[];
}

/** The folders of `fixtures/tokenizers` that hold a tokenizer and its vectors. */
export const vectorFolders = ["gemma3", "gpt2", "llama2", "llama3", "metaspace", "opt", "qwen2"];

/** Reads a file of vectors, which is trusted to be as make.py writes it. */
export function loadVectors(file: string): TokenizerVectors {
  return JSON.parse(readFileSync(file, "utf8")) as TokenizerVectors;
}

/** Checks the ids, with and without special tokens, the prefix and the decoded text of the cases that are `asked`. */
export function expectVectors(
  model: TokenizerModel,
  file: string,
  asked: (one: TokenizerVectors["cases"][number]) => boolean = () => true,
): void {
  const vectors = loadVectors(file);
  const tokenizer = textTokenizer(model);
  expect(vectors.cases.length).toBeGreaterThan(50);
  expect(model.prefix).toEqual(vectors.prefix);
  for (const { text, ids, as_text, decoded } of vectors.cases.filter(asked)) {
    expect(tokenizer.encode(text), text).toEqual(ids);
    expect(tokenizer.encode(text, { parseSpecial: false }), text).toEqual(as_text ?? ids);
    expect(tokenizer.decode(ids), text).toBe(decoded ?? text);
  }
}

/** SmolLM2's GGUF: the file that GSIC_SMOLLM2 names, or the one that the example downloaded; null if there is none. */
export const smollm2File: string | null = findSmollm2();

function findSmollm2(): string | null {
  const named = process.env.GSIC_SMOLLM2;
  if (named !== undefined) return named;
  const example = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "examples", "smollm2");
  if (!existsSync(example)) return null;
  const file = readdirSync(example, { recursive: true, encoding: "utf8" }).find((it) => it.endsWith(".gguf"));
  return file === undefined ? null : join(example, file);
}
