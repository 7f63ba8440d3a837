import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as huggingFace from "@huggingface/tokenizers";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { GsicError } from "../support/errors.js";
import { readTokenizer, type TokenizerModel, textTokenizer } from "./tokenizer.js";
import { fromTokenizerJson } from "./tokenizer-json.js";
import { gpt2Pattern, portablePattern } from "./tokenizer-regex.js";
import { expectVectors, vectorFolders } from "./tokenizer-vectors.js";

const fixtures = join(dirname(fileURLToPath(import.meta.url)), "fixtures", "tokenizers");
const scratch = mkdtempSync(join(tmpdir(), "gsic-tokenizer-"));
afterAll(() => rmSync(scratch, { recursive: true }));

async function modelOf(name: string): Promise<TokenizerModel> {
  const model = await readTokenizer(join(fixtures, name));
  expect(model).not.toBeNull();
  return model!;
}

describe("reference vectors", () => {
  test.each(vectorFolders)("%s", async (name) => {
    expectVectors(await modelOf(name), join(fixtures, name, "vectors.json"));
  });

  test("vocab.json and merges.txt", async () => {
    for (const file of ["vocab.json", "merges.txt", "tokenizer_config.json"]) {
      writeFileSync(join(scratch, file), readFileSync(join(fixtures, "gpt2", file)));
    }
    const model = await readTokenizer(scratch);
    expectVectors(model!, join(fixtures, "gpt2", "vectors.json"));
    expect(model).toEqual(await modelOf("gpt2"));
  });
});

/** EleutherAI/gpt-j-6b fills its vocabulary up with tokens that are not special. */
test("GPT-J's extra tokens are found in any text", () => {
  const json = JSON.parse(readFileSync(join(fixtures, "gpt2", "tokenizer.json"), "utf8"));
  const plain = textTokenizer(fromTokenizerJson(json, {}, "test"));
  const added = { id: 600, content: "<|extratoken_1|>", special: false, normalized: true };
  const extended = { ...json, added_tokens: [...json.added_tokens, added] };
  const tokenizer = textTokenizer(fromTokenizerJson(extended, {}, "test"));
  for (const parseSpecial of [true, false]) {
    const found = tokenizer.encode("a b<|extratoken_1|> c", { parseSpecial });
    expect(found).toEqual([...plain.encode("a b"), 600, ...plain.encode(" c")]);
    expect(tokenizer.decode(found)).toBe("a b<|extratoken_1|> c");
  }
});

describe("properties", () => {
  test.each(["gpt2", "llama3"])("%s decodes what it encodes", async (name) => {
    const tokenizer = textTokenizer(await modelOf(name));
    const text = fc.oneof(fc.string({ unit: "binary" }), fc.string({ unit: "grapheme" }), fc.lorem());
    fc.assert(
      fc.property(text, fc.boolean(), (it, parseSpecial) => {
        expect(tokenizer.decode(tokenizer.encode(it, { parseSpecial }))).toBe(it);
      }),
      { numRuns: 1000 },
    );
  });

  test("a long word takes no quadratic time", async () => {
    const tokenizer = textTokenizer(await modelOf("gpt2"));
    const word = "abcdefgh".repeat(25_000);
    const start = performance.now();
    expect(tokenizer.decode(tokenizer.encode(word))).toBe(word);
    expect(performance.now() - start).toBeLessThan(20_000);
  });

  test("lone surrogates count as U+FFFD", async () => {
    const tokenizer = textTokenizer(await modelOf("gpt2"));
    expect(tokenizer.encode("a\ud800b")).toEqual(tokenizer.encode("a\ufffdb"));
  });
});

/** What the package alone does differently; the reference's answers were taken from tokenizers 0.23.3. */
describe("deviations of @huggingface/tokenizers from the reference", () => {
  interface Splitter {
    pre_tokenize_text(text: string, options?: object): string[];
  }
  const theirs = huggingFace as unknown as {
    ByteLevelPreTokenizer: new (config: object) => Splitter;
    DigitsPreTokenizer: new (config: object) => Splitter;
    MetaspacePreTokenizer: new (config: object) => Splitter;
    SplitPreTokenizer: new (config: object) => Splitter;
    BPE: new (config: object) => { encode(words: string[]): string[] };
  };

  /** The matches of a pattern in the reference's language, as it is run here. */
  function matches(pattern: string, text: string): string[] {
    return text.match(new RegExp(portablePattern(pattern, "test"), "gu")) ?? [];
  }

  test("ByteLevel's regex takes JavaScript's white space: with U+FEFF, without U+0085", () => {
    const byteLevel = new theirs.ByteLevelPreTokenizer({ use_regex: true });
    expect(matches(gpt2Pattern, "!\ufeff!")).toEqual(["!\ufeff!"]);
    expect(byteLevel.pre_tokenize_text("!\ufeff!").length).toBe(3);
    expect(matches(gpt2Pattern, "!\u0085!")).toEqual(["!", "\u0085", "!"]);
    expect(byteLevel.pre_tokenize_text("!\u0085!").length).toBe(1);
  });

  test("Digits knows ASCII digits only", () => {
    const digits = new theirs.DigitsPreTokenizer({ individual_digits: true });
    expect(matches("\\p{N}|\\P{N}+", "a½²٣b")).toEqual(["a", "½", "²", "٣", "b"]);
    expect(digits.pre_tokenize_text("a½²٣b")).toEqual(["a½²٣b"]);
  });

  test("case is ignored for ASCII only", () => {
    const config = { pattern: { Regex: "(?i:'s)" }, behavior: "Isolated" };
    expect(matches("(?i:'s)", "a'\u017f")).toEqual(["'\u017f"]);
    expect(new theirs.SplitPreTokenizer(config).pre_tokenize_text("a'\u017f")).toEqual(["a'\u017f"]);
  });

  test("Metaspace never splits", () => {
    const splitter = new theirs.MetaspacePreTokenizer({ split: true });
    expect(splitter.pre_tokenize_text("a b")).toEqual(["\u2581a\u2581b"]);
  });

  test("what has no token keeps its neighbours apart", () => {
    const vocab = { a: 0, b: 1, ab: 2 };
    const merges = [["a", "b"]];
    expect(new theirs.BPE({ type: "BPE", vocab, merges }).encode(["axb"])).toEqual(["a", "b"]);
    const json = { model: { type: "BPE", vocab, merges }, pre_tokenizer: { type: "ByteLevel" } };
    expect(textTokenizer(fromTokenizerJson(json, {}, "test")).encode("axb")).toEqual([2]);
  });
});

describe("refusals", () => {
  type Json = Record<string, unknown>;
  const good = JSON.parse(readFileSync(join(fixtures, "llama3", "tokenizer.json"), "utf8")) as Json;

  async function codeOf(write: (folder: string) => void): Promise<string> {
    const folder = mkdtempSync(join(scratch, "bad-"));
    write(folder);
    const error = await readTokenizer(folder).then(
      () => null,
      (it: unknown) => it,
    );
    expect(error).toBeInstanceOf(GsicError);
    const refused = error as GsicError;
    expect(refused.category).toBe("data");
    expect(refused.where).toContain(folder);
    return refused.code;
  }

  const json = (change: (it: Json & { model: Json }) => void) => (folder: string) => {
    const copy = structuredClone(good) as Json & { model: Json };
    change(copy);
    writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(copy));
  };
  const text = (content: string) => (folder: string) =>
    writeFileSync(join(folder, "tokenizer.json"), content);

  const malformed: Record<string, (folder: string) => void> = {
    "a list": text("[]"),
    "no model": json((it) => void delete (it as Json).model),
    "empty vocabulary": json((it) => void Object.assign(it.model, { vocab: {}, merges: [] })),
    "fractional id": json((it) => void Object.assign(it.model.vocab as Json, { "!": 0.5 })),
    "negative id": json((it) => void Object.assign(it.model.vocab as Json, { "!": -1 })),
    "id as a string": json((it) => void Object.assign(it.model.vocab as Json, { "!": "0" })),
    "huge id": json((it) => void Object.assign(it.model.vocab as Json, { "!": 2 ** 40 })),
    "large hole": json((it) => void Object.assign(it.model.vocab as Json, { "!": 2 ** 21 })),
    "id used twice": json((it) => void Object.assign(it.model.vocab as Json, { "!": 1 })),
    "merge of unknown tokens": json((it) => void Object.assign(it.model, { merges: [["?!?", "x"]] })),
    "merge of one token": json((it) => void Object.assign(it.model, { merges: ["ab"] })),
    "merge of three tokens": json((it) => void Object.assign(it.model, { merges: ["a b c"] })),
    "merge that is a number": json((it) => void Object.assign(it.model, { merges: [7] })),
    "unknown token that is none": json((it) => void Object.assign(it.model, { unk_token: "<nope>" })),
    "empty added token": json((it) => void Object.assign((it.added_tokens as Json[])[0]!, { content: "" })),
    "added token with two ids": json(
      (it) => void Object.assign((it.added_tokens as Json[])[0]!, { content: "a" }),
    ),
    "added token with another's id": json(
      (it) => void Object.assign((it.added_tokens as Json[])[0]!, { id: 3 }),
    ),
    "pattern that is no regular expression": json((it) => {
      const step = { type: "Split", pattern: { Regex: "(a" }, behavior: "Isolated" };
      it.pre_tokenizer = step;
    }),
  };
  test.each(Object.keys(malformed))("malformed: %s", async (name) => {
    expect(await codeOf(malformed[name]!)).toBe("tokenizer-malformed");
  });

  test("a file nested too deeply for the stack", async () => {
    const open = '{"type":"Sequence","pretokenizers":['.repeat(100_000);
    const json = `{"model":{"vocab":{"a":0},"merges":[]},"pre_tokenizer":${open}${"]}".repeat(100_000)}}`;
    expect(await codeOf(text(json))).toBe("json-depth");
  });

  test("a file that is not JSON, or says two things", async () => {
    expect(await codeOf(text(""))).toBe("json-syntax");
    expect(await codeOf(text("{"))).toBe("json-syntax");
    expect(await codeOf(text('{"model":{"vocab":{"a":0,"a":1},"merges":[]}}'))).toBe("json-duplicate-key");
  });

  test("a Git LFS pointer", async () => {
    expect(await codeOf(text("version https://git-lfs.github.com/spec/v1\n"))).toBe("file-lfs-pointer");
  });

  const withPattern = (pattern: string) =>
    json((it) => {
      it.pre_tokenizer = { type: "Split", pattern: { Regex: pattern }, behavior: "Isolated" };
    });
  const unsupported: Record<string, (folder: string) => void> = {
    unigram: json((it) => void Object.assign(it.model, { type: "Unigram" })),
    dropout: json((it) => void Object.assign(it.model, { dropout: 0.1 })),
    normalizer: json((it) => void Object.assign(it, { normalizer: { type: "Lowercase" } })),
    "pre-tokenizer": json((it) => void Object.assign(it, { pre_tokenizer: { type: "BertPreTokenizer" } })),
    "no pre-tokenizer": json((it) => void Object.assign(it, { pre_tokenizer: null })),
    "post-processor": json((it) => void Object.assign(it, { post_processor: { type: "BertProcessing" } })),
    "word boundary": withPattern("\\bx"),
    "class in a class": withPattern("[a[b]]"),
    "back reference": withPattern("(a)\\1"),
  };
  test.each(Object.keys(unsupported))("unsupported: %s", async (name) => {
    expect(await codeOf(unsupported[name]!)).toBe("tokenizer-unsupported");
  });

  test("a folder without a tokenizer, and a GGUF without one, have none", async () => {
    expect(await readTokenizer(mkdtempSync(join(scratch, "none-")))).toBeNull();
    expect(await readTokenizer(join(scratch, "missing"))).toBeNull();
    expect(await readTokenizer({ file: "x.gguf", metadata: new Map() })).toBeNull();
  });
});
