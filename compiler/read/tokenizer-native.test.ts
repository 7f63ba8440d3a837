import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { build, named, sources } from "../../runtime/testing/native.js";
import { readGguf } from "./gguf.js";
import { readTokenizer, serializeTokenizer, type TokenizerModel, textTokenizer } from "./tokenizer.js";
import { loadVectors, smollm2File, vectorFolders } from "./tokenizer-vectors.js";

const here = dirname(fileURLToPath(import.meta.url));
const fixtures = join(here, "fixtures", "tokenizers");
const scratch = mkdtempSync(join(tmpdir(), "gsic-tokenizer-native-"));
/** With sanitizers, like all that tests compile. */
const program = join(scratch, "tokenizer_test");
const sections = new Map<string, string>();
const models = new Map<string, TokenizerModel>();

function run(name: string, command: string, input: Uint8Array = new Uint8Array()): Buffer {
  const args = [sections.get(name)!, command];
  const result = spawnSync(program, args, { input, maxBuffer: 1 << 28 });
  expect(result.stderr.toString()).toBe("");
  expect(result.status).toBe(0);
  return result.stdout;
}

interface Request {
  readonly text: string | Uint8Array;
  readonly parseSpecial: boolean;
}

/** The native ids of several texts, from one process. */
function nativeIds(name: string, requests: readonly Request[]): number[][] {
  const parts = requests.flatMap(({ text, parseSpecial }) => {
    const bytes = Buffer.from(text as Uint8Array);
    const head = Buffer.alloc(5);
    head.writeUInt8(parseSpecial ? 1 : 0);
    head.writeUInt32LE(bytes.length, 1);
    return [head, bytes];
  });
  const lines = run(name, "encode", Buffer.concat(parts)).toString().split("\n");
  return lines.slice(0, -1).map((line) => (line === "" ? [] : line.split(" ").map(Number)));
}

beforeAll(async () => {
  await build(program, [...sources("src"), ...named("src", ["tokenizer_test_main"])]);
  for (const name of vectorFolders) models.set(name, (await readTokenizer(join(fixtures, name)))!);
  if (smollm2File !== null) {
    const { metadata } = await readGguf(smollm2File);
    models.set("smollm2", (await readTokenizer({ file: smollm2File, metadata }))!);
  }
  for (const [name, model] of models) {
    sections.set(name, join(scratch, name));
    writeFileSync(join(scratch, name), serializeTokenizer(model));
  }
});
afterAll(() => rmSync(scratch, { recursive: true }));

function expectVectors(name: string, file: string): void {
  const { cases } = loadVectors(file);
  const requests = cases.flatMap(({ text }) => [
    { text, parseSpecial: true },
    { text, parseSpecial: false },
  ]);
  const ids = nativeIds(name, requests);
  expect(ids.length).toBe(requests.length);
  cases.forEach((it, index) => {
    expect(ids[2 * index], it.text).toEqual(it.ids);
    expect(ids[2 * index + 1], it.text).toEqual(it.as_text ?? it.ids);
  });
}

describe("reference vectors", () => {
  test.each(vectorFolders)("%s", (name) => {
    expectVectors(name, join(fixtures, name, "vectors.json"));
  });

  test.skipIf(smollm2File === null)("SmolLM2's GGUF (skipped where the model is not downloaded)", () => {
    expectVectors("smollm2", join(fixtures, "smollm2.json"));
  });
});

/** Random texts, with the special tokens of all fixtures and what the patterns look at. */
function randomTexts(count: number): string[] {
  const special = fc.constantFrom(
    "<s>",
    "</s>",
    "<unk>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|im_start|>",
    "<0x0A>",
  );
  const notable = fc.constantFrom(
    "'s",
    "'LL",
    "'\u017f",
    " ",
    "  ",
    "\n",
    "\r\n",
    "\u0085",
    "\ufeff",
    "\u180e",
    "123",
    "\u2581",
  );
  const word = fc.constantFrom("the", " history", "Hello", " of", "computer", "ab", "abab", "é", "世界");
  const part = fc.oneof(
    fc.string({ unit: "binary", maxLength: 6 }),
    fc.string({ maxLength: 6 }),
    special,
    notable,
    word,
  );
  const text = fc.array(part, { maxLength: 12 }).map((parts) => parts.join(""));
  return fc.sample(text, { numRuns: count, seed: 7 });
}

describe("parity with TypeScript", () => {
  test.each([...vectorFolders, ...(smollm2File === null ? [] : ["smollm2"])])(
    "%s on random strings",
    (name) => {
      const tokenizer = textTokenizer(models.get(name)!);
      const requests = randomTexts(3000).map((text, index) => ({ text, parseSpecial: index % 2 === 0 }));
      const ids = nativeIds(name, requests);
      requests.forEach(({ text, parseSpecial }, index) => {
        expect(ids[index], JSON.stringify(text)).toEqual(tokenizer.encode(text, { parseSpecial }));
      });
    },
  );

  test("invalid UTF-8 counts as U+FFFD, as TextDecoder reads it", () => {
    const inputs = fc.sample(fc.uint8Array({ maxLength: 24 }), { numRuns: 2000, seed: 3 });
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    const tokenizer = textTokenizer(models.get("gpt2")!);
    const ids = nativeIds(
      "gpt2",
      inputs.map((text) => ({ text, parseSpecial: true })),
    );
    inputs.forEach((bytes, index) => {
      expect(ids[index]).toEqual(tokenizer.encode(decoder.decode(bytes)));
    });
  });

  test.each(vectorFolders)("%s: bytes and flags of every token", (name) => {
    const model = models.get(name)!;
    const special = new Set(model.added.filter((token) => token.special).map((token) => token.id));
    const lines = run(name, "tokens").toString().trimEnd().split("\n");
    const tokenizer = textTokenizer({ ...model, stripLeadingSpace: false });
    expect(lines.length).toBe(model.tokens.length);
    lines.forEach((line, id) => {
      expect(line.endsWith("*")).toBe(special.has(id));
      const bytes = Buffer.from(line.replace("*", ""), "hex");
      expect(bytes.toString()).toBe(tokenizer.decode([id]));
    });
  });
});

describe("hostile input", () => {
  test.each(vectorFolders)(
    "%s: every truncation and random corruptions end in an exception or in a tokenizer",
    (name) => {
      const output = run(name, "mutate").toString();
      const size = serializeTokenizer(models.get(name)!).length;
      expect(output).toMatch(
        new RegExp(`^${size} truncations refused, [0-9]+ of 2000 corruptions refused\n$`),
      );
    },
  );

  test("a word of a million bytes takes no quadratic time", () => {
    const text = "abcdefgh".repeat(125_000);
    const start = performance.now();
    const [ids] = nativeIds("gpt2", [{ text, parseSpecial: true }]);
    expect(performance.now() - start).toBeLessThan(20_000);
    expect(textTokenizer(models.get("gpt2")!).decode(ids!)).toBe(text);
  });

  test("a million combining marks in the wrong order take no quadratic time", () => {
    const [acute, dot] = ["\u0301", "\u0323"];
    const text = Buffer.from(`a${(acute + dot).repeat(500_000)}`);
    const start = performance.now();
    const normalized = run("qwen2", "normalize", text).toString();
    expect(normalized).toBe(`\u1ea1${dot.repeat(499_999)}${acute.repeat(500_000)}`);
    expect(performance.now() - start).toBeLessThan(20_000);
  });
});

describe("NFC", () => {
  const nfc = (text: string) => run("qwen2", "normalize", Buffer.from(text)).toString();
  /** Blocks with compositions that came after Unicode 15, which Debian's utf8proc knows. */
  const later = [
    [0x105c0, 0x105ff],
    [0x11380, 0x113ff],
    [0x16100, 0x1613f],
    [0x16d40, 0x16d7f],
  ] as const;
  const codePoints = Array.from({ length: 0x110000 }, (_, code) => code).filter(
    (code) =>
      (code < 0xd800 || code > 0xdfff) && !later.some(([first, last]) => code >= first && code <= last),
  );

  test("of every character that has a decomposition, and of that", () => {
    const texts = codePoints.flatMap((code) => {
      const text = String.fromCodePoint(code);
      const parts = text.normalize("NFD");
      return parts === text ? [] : [text, parts];
    });
    expect(texts.length).toBeGreaterThan(26_000);
    // A space is a starter that composes with nothing.
    expect(nfc(texts.join(" ")).split(" ")).toEqual(texts.map((text) => text.normalize("NFC")));
  });

  test("of marks in any order", () => {
    const letter = fc.constantFrom(..."aoAΩα가각각क़ড়شא");
    const mark = fc
      .oneof(
        fc.integer({ min: 0x300, max: 0x36f }),
        fc.integer({ min: 0x591, max: 0x5bd }),
        fc.integer({ min: 0x64b, max: 0x65f }),
        fc.constantFrom(0x93c, 0x9bc, 0x1161, 0x11a8, 0x3099, 0x20d0),
      )
      .map((code) => String.fromCodePoint(code));
    const text = fc
      .array(fc.tuple(letter, fc.array(mark, { maxLength: 6 })), { maxLength: 4 })
      .map((parts) => parts.flatMap(([first, marks]) => [first, ...marks]).join(""));
    const texts = fc.sample(text, { numRuns: 5000, seed: 11 });
    expect(nfc(texts.join("\n")).split("\n")).toEqual(texts.map((one) => one.normalize("NFC")));
  });
});

test("a text on which a pattern gives up is refused, as its writer's fault", () => {
  const model = models.get("gpt2")!;
  const hostile = { kind: "split", pattern: "(a|aa|a?)+$", behavior: "isolated", invert: false } as const;
  sections.set("hostile", join(scratch, "hostile"));
  writeFileSync(sections.get("hostile")!, serializeTokenizer({ ...model, steps: [hostile, ...model.steps] }));
  expect(nativeIds("hostile", [{ text: "aaaa", parseSpecial: false }])).toHaveLength(1);
  const head = Buffer.alloc(5);
  head.writeUInt32LE(65, 1);
  const input = Buffer.concat([head, Buffer.from(`${"a".repeat(64)}b`)]);
  const { status, stderr } = spawnSync(program, [sections.get("hostile")!, "encode"], { input });
  expect(status).toBe(1);
  expect(stderr.toString()).toMatch(
    /gives up on this text: match limit exceeded; give a shorter or simpler text/,
  );
});

test("Utf8Stream gives whole characters as soon as they are complete", () => {
  const stream = (input: Uint8Array) => run("gpt2", "stream", input).toString();
  expect(stream(Buffer.from("aé世😀"))).toBe("a||é|||世||||😀|");
  expect(stream(Uint8Array.of(0x61, 0xe4, 0xb8))).toBe("a|||\ufffd");
  expect(stream(Uint8Array.of(0xff, 0x61, 0xc3, 0x61))).toBe("\ufffd|a||\ufffda|");
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  for (const bytes of fc.sample(fc.uint8Array({ maxLength: 12 }), { numRuns: 50, seed: 5 })) {
    if (bytes.includes(0x7c)) continue;
    expect(stream(bytes).replaceAll("|", "")).toBe(decoder.decode(bytes));
  }
});
