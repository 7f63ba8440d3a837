import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readTokenizer, type TokenizerModel } from "../read/tokenizer.js";
import { fromGguf } from "../read/tokenizer-gguf.js";
import { expectVectors } from "../read/tokenizer-vectors.js";
import { packageRoot } from "../support/paths.js";
import { tokenizerFields } from "./tokenizer-entries.js";

const fixtures = join(packageRoot, "compiler/read/fixtures/tokenizers");

/** The tokenizer that gsic reads of the metadata. */
function again(model: TokenizerModel, vocabulary = model.tokens.length): TokenizerModel {
  const fields = tokenizerFields(model, vocabulary, "here");
  const metadata = new Map(Object.entries(fields).map(([key, { value }]) => [key, value]));
  return fromGguf(metadata, "there")!;
}

async function tokenizerOf(name: string): Promise<TokenizerModel> {
  return (await readTokenizer(join(fixtures, name)))!;
}

describe("a tokenizer makes the same tokens of text when it is read from the metadata", () => {
  test.each(["gemma3", "gpt2", "llama2", "llama3", "qwen2"])("%s", async (name) => {
    const model = await tokenizerOf(name);
    const { bos, eos, prefix, kind } = again(model);
    expect({ bos, eos, prefix, kind }).toEqual({
      bos: model.bos,
      eos: model.eos,
      prefix: model.prefix,
      kind: model.kind,
    });
    // Of Qwen 2 the metadata has no normalisation; llama.cpp does without it, too.
    expectVectors(
      again(model),
      join(fixtures, name, "vectors.json"),
      ({ text }) => text === text.normalize("NFC"),
    );
  });
});

test("rows of the embedding without a token get one, and tokens without a row none", async () => {
  const model = await tokenizerOf("gpt2");
  const { length } = model.tokens;
  const names = (all: readonly Uint8Array[]) => all.map((bytes) => Buffer.from(bytes).toString());
  const { tokens } = again(model, length + 2);
  expect(names(tokens.slice(length))).toEqual([`[PAD${length}]`, `[PAD${length + 1}]`]);
});

test("a way to cut text that llama.cpp has no name for is refused", async () => {
  const model = await tokenizerOf("gpt2");
  const odd: TokenizerModel = { ...model, steps: [{ kind: "prefix-space" }, ...model.steps] };
  expect(() => tokenizerFields(odd, model.tokens.length, "here")).toThrow(
    expect.objectContaining({ code: "export-tokenizer", where: "here" }),
  );
});
