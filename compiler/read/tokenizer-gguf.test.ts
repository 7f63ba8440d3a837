import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { readGguf } from "./gguf.js";
import { readTokenizer, type TokenizerModel } from "./tokenizer.js";
import { entryOfBytes, fallbackByte } from "./tokenizer-model.js";
import { expectVectors, smollm2File } from "./tokenizer-vectors.js";

const fixtures = join(dirname(fileURLToPath(import.meta.url)), "fixtures", "tokenizers");
const key = (name: string) => `tokenizer.ggml.${name}`;

/** A model written as GGUF's metadata, with a type and a score for each token. */
function asGguf(model: TokenizerModel, entries: Readonly<Record<string, unknown>>): Map<string, unknown> {
  const added = new Map(model.added.map((token) => [token.id, token.content]));
  const special = new Set(model.added.filter((token) => token.special).map((token) => token.id));
  const text = (id: number) =>
    added.get(id) ??
    (model.kind === "byte-level"
      ? entryOfBytes(model.tokens[id]!)
      : Buffer.from(model.tokens[id]!).toString());
  const ranks = new Map<number, number>();
  const merges: string[] = [];
  for (let at = 0; at < model.merges.length; at += 3) {
    merges.push(`${text(model.merges[at]!)} ${text(model.merges[at + 1]!)}`);
    ranks.set(model.merges[at + 2]!, at / 3);
  }
  const ids = model.tokens.map((_, id) => id);
  const all = {
    tokens: ids.map(text),
    token_type: ids.map((id) =>
      added.has(id) ? (special.has(id) ? 3 : 4) : fallbackByte(text(id)) === null ? 1 : 6,
    ),
    merges,
    scores: ids.map((id) => -(ranks.get(id) ?? 1e6)),
    bos_token_id: model.bos,
    eos_token_id: model.eos,
    ...entries,
  };
  return new Map(Object.entries(all).map(([name, value]) => [key(name), value]));
}

async function modelOf(name: string): Promise<TokenizerModel> {
  return (await readTokenizer(join(fixtures, name)))!;
}

describe("GGUF metadata", () => {
  test.each([
    ["gpt2", "gpt-2"],
    ["gpt2", "default"],
    ["llama3", "llama-bpe"],
  ])("%s as %s", async (name, pre) => {
    const metadata = asGguf(await modelOf(name), { model: "gpt2", pre });
    const model = (await readTokenizer({ file: "x.gguf", metadata }))!;
    expectVectors(model, join(fixtures, name, "vectors.json"));
  });

  test("llama2, with its merges found again from scores", async () => {
    const metadata = asGguf(await modelOf("llama2"), { model: "llama" });
    metadata.delete(key("merges"));
    const model = (await readTokenizer({ file: "x.gguf", metadata }))!;
    expectVectors(model, join(fixtures, "llama2", "vectors.json"));
  });

  test.each(["\u2581", " "])("gemma3: runs of spaces as tokens, written with %j", async (space) => {
    const gemma = await modelOf("gemma3");
    const more = { model: "llama", add_space_prefix: false, unknown_token_id: gemma.unknown };
    const added = gemma.added.map((one) => ({ ...one, content: one.content.replaceAll("\u2581", space) }));
    const metadata = asGguf({ ...gemma, added }, more);
    metadata.delete(key("merges"));
    const model = (await readTokenizer({ file: "x.gguf", metadata }))!;
    const apart = (text: string) => space === " " && text.includes("\u2581");
    expectVectors(model, join(fixtures, "gemma3", "vectors.json"), ({ text }) => !apart(text));
  });

  test("qwen2, whose NFC a GGUF file does not ask for", async () => {
    const metadata = asGguf(await modelOf("qwen2"), { model: "gpt2", pre: "qwen2" });
    const model = (await readTokenizer({ file: "x.gguf", metadata }))!;
    expect(model.normalizer).toBe("none");
    expectVectors({ ...model, normalizer: "nfc" }, join(fixtures, "qwen2", "vectors.json"));
  });

  test("the file decides whether the text gets a BOS", async () => {
    const metadata = asGguf(await modelOf("llama3"), {
      model: "gpt2",
      pre: "llama-bpe",
      add_bos_token: false,
    });
    expect((await readTokenizer({ file: "x.gguf", metadata }))!.prefix).toEqual([]);
  });

  test.skipIf(smollm2File === null)("SmolLM2 (skipped where the model is not downloaded)", async () => {
    const { metadata } = await readGguf(smollm2File!);
    const model = (await readTokenizer({ file: smollm2File!, metadata }))!;
    expectVectors(model, join(fixtures, "smollm2.json"));
    expect([model.bos, model.eos, model.tokens.length]).toEqual([1, 2, 49152]);
  });

  test.each([
    ["tokenizer-unsupported", "pre", "martian"],
    ["tokenizer-unsupported", "model", "t5"],
    ["tokenizer-malformed", "tokens", 7],
    ["tokenizer-malformed", "tokens", [1, 2]],
    ["tokenizer-malformed", "tokens", []],
    ["tokenizer-malformed", "token_type", [1]],
    ["tokenizer-malformed", "merges", ["a"]],
    ["tokenizer-malformed", "merges", ["?!? x"]],
    ["tokenizer-malformed", "bos_token_id", 1_000_000],
    ["tokenizer-malformed", "eos_token_id", "two"],
  ])("%s: %s is %j", async (code, name, value) => {
    const metadata = asGguf(await modelOf("gpt2"), { model: "gpt2", pre: "gpt-2", [name]: value });
    const where = expect.stringContaining("x.gguf");
    await expect(readTokenizer({ file: "x.gguf", metadata })).rejects.toMatchObject({ code, where });
  });
});
