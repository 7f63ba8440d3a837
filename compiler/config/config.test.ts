import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { GsicError } from "../support/errors.js";
import { readConfig } from "./config.js";

const folder = mkdtempSync(join(tmpdir(), "gsic-config-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function write(content: string | Uint8Array): string {
  const file = join(folder, "model.toml");
  writeFileSync(file, content);
  return file;
}

function errorOf(path: string): GsicError {
  try {
    readConfig(path);
  } catch (error) {
    if (error instanceof GsicError) return error;
    throw error;
  }
  throw new Error("it was accepted");
}

test("a model.toml with the source alone has defaults for the rest", () => {
  const file = write('[model]\nname = "m"\nsource = "weights"\n');
  expect(readConfig(file)).toEqual({
    file,
    model: { name: "m", source: join(folder, "weights"), context: null, storage: "stored", head: "whole" },
    calibration: { text: [], stats: null, tokens: 8192, window: 512, seed: 1 },
    heldout: { text: [], tokens: 4096 },
    quality: { mode: "exact", maxKl: null, maxSize: null },
    plan: {
      forms: ["dense", "gated", "tiered", "gated+tiered"],
      k: [32, 64, 128, 256],
      epsilon: [0.05, 0.1, 0.2],
      bits: [3, 4, 5, 6, 8],
      rank: [0, 16],
      types: null,
      kv: "f32",
      kvTokens: 2048,
    },
    target: { names: null, tuning: null },
  });
});

test("every key is read; paths are relative to the file", () => {
  const file = write(`
[model]
name = "gpt2.v1_2-x"
source = "hf:openai-community/gpt2"
context = 256
storage = "packed"
head = "screened"
[calibration]
text = ["a.txt", "/b.txt"]
tokens = 10
window = 5
seed = 0
[heldout]
text = ["c.txt"]
tokens = 20
[quality]
mode = "bounded"
max_kl = 0.5
[plan]
forms = ["gated", "dense"]
k = [32, 64]
epsilon = [1, 0.05]
bits = [8, 4]
rank = [8]
kv = "auto"
kv_tokens = 512
[target]
name = ["cpu-avx2", "cpu-portable"]
tuning = "measured.toml"
`);
  expect(readConfig(file)).toEqual({
    file,
    model: {
      name: "gpt2.v1_2-x",
      source: "hf:openai-community/gpt2",
      context: 256,
      storage: "packed",
      head: "screened",
    },
    calibration: { text: [join(folder, "a.txt"), "/b.txt"], stats: null, tokens: 10, window: 5, seed: 0 },
    heldout: { text: [join(folder, "c.txt")], tokens: 20 },
    quality: { mode: "bounded", maxKl: 0.5, maxSize: null },
    plan: {
      forms: ["gated", "dense"],
      k: [32, 64],
      epsilon: [1, 0.05],
      bits: [8, 4],
      rank: [8],
      types: null,
      kv: "auto",
      kvTokens: 512,
    },
    target: { names: ["cpu-avx2", "cpu-portable"], tuning: join(dirname(file), "measured.toml") },
  });
  const named = write(
    '[model]\nname = "m"\nsource = "w"\n[target]\nname = "cpu-avx2"\n[calibration]\nstats = "s"',
  );
  expect(readConfig(named).target.names).toEqual(["cpu-avx2"]);
  expect(readConfig(named).calibration.stats).toBe(join(folder, "s"));
});

test("weights are packed as named, as measured, or by their shapes", () => {
  const storageOf = (value: string) =>
    readConfig(write(`[model]\nname = "m"\nsource = "w"\nstorage = ${value}`)).model.storage;
  expect(storageOf('"auto"')).toBe("auto");
  expect(storageOf('["576x1536", "49152x576"]')).toEqual(["576x1536", "49152x576"]);
  expect(storageOf("[]")).toEqual([]);
});

test("a plan of llama.cpp's types has a KL or a size", () => {
  const qualityOf = (limit: string) =>
    readConfig(
      write(
        `[model]\nname = "m"\nsource = "w"\n[quality]\nmode = "bounded"\n${limit}\n[plan]\ntypes = "gguf"`,
      ),
    );
  expect(qualityOf("bits = 4.5").quality).toEqual({ mode: "bounded", maxKl: null, maxSize: { bits: 4.5 } });
  expect(qualityOf("max_bytes = 1000").quality.maxSize).toEqual({ bytes: 1000 });
  expect(qualityOf("max_kl = 0.01").plan.types).toBe("gguf");
});

const start = '[model]\nname = "m"\nsource = "w"\n';

/** What follows a good start of three lines; the code, the place behind the file's name, message and hint. */
const refused: [string, string, string, string][] = [
  ["contxt = 3", "config-unknown-key :4", "unknown key model.contxt", "did you mean context? Known: name"],
  ["[calibration]\n# seed\n'sed' = 3", "config-unknown-key :6", "calibration.sed", "did you mean seed?"],
  ["[calibration]\ntokens = 1\n[plan]\ntokens = 1", "config-unknown-key :7", "plan.tokens", "epsilon"],
  ["head = 'half'", "config-value : model.head", "half", "whole, screened"],
  ["storage = 5", "config-value : model.storage", "storage = 5 is no way", "stored, packed, auto, or a list"],
  [
    "context = 18446744073709551621",
    "config-value : model.context",
    "(an integer beyond 2^63) is not a positive",
    "a point",
  ],
  [
    "[quality]\nmode = 'bounded'\n[plan]\ntypes = 'gguf'\nkv_tokens = 9",
    "config-value : plan.types",
    "both types and kv_tokens",
    "leave out kv_tokens",
  ],
  ["[plan]\nbits = [2]", "config-value : plan.bits", "bits = 2 is not offered", "one of: 3, 4"],
  ["storage = ['576']", "config-value : model.storage", 'storage = "576" is not a shape', '["576x1536"]'],
  ["[heldout]\n[model.extra]\na = 1", "config-unknown-key :5", "model.extra", "Known"],
  ["[plann]\nk = [1]", "config-unknown-key :4", "unknown table plann", "did you mean plan?"],
  ["context = = 3", "config-syntax :4:11", "Unexpected character", "correct the TOML"],
  ['name = "n"', "config-syntax :4:11", "redefine", "correct the TOML"],
  ["[plan]\nk = [1]\n[model]", "config-syntax :6", "redefine", "correct the TOML"],
  ['[plan]\nk = "', "config-syntax :5", "", "correct the TOML"],
  ['context = "3"', "config-value : model.context", 'context = "3" is not a positive integer', "quotes"],
  ["context = 1.5", "config-value : model.context", "1.5 is not a positive integer", "point"],
  ["context = 0", "config-value : model.context", "0 is not a positive integer", ""],
  ["[calibration]\nseed = -1", "config-value : calibration.seed", "-1 is not a non-negative integer", ""],
  ["[calibration]\ntokens = nan", "config-value : calibration.tokens", "NaN is not a positive", ""],
  [
    "[calibration]\ntokens = 9223372036854775807",
    "config-value : calibration.tokens",
    "9223372036854775807",
    "",
  ],
  ['[calibration]\ntext = "a"', "config-value : calibration.text", "must be a list", "text = [...]"],
  ["[calibration]\ntext = [1]", "config-value : calibration.text", "list of file names", '["a.txt"]'],
  ["[calibration]\nstats = [1]", "config-value : calibration.stats", "must be a string", "quote it"],
  ['[calibration]\nstats = "s"\ntext = ["a"]', "config-value : calibration.stats", "both", "keep one"],
  ['[quality]\nmode = "boundd"', "config-value : quality.mode", "unknown mode boundd", "exact, bounded"],
  ["[quality]\nmax_kl = nan", "config-value : quality.max_kl", "NaN is not a positive number", "nats"],
  ["[quality]\nmax_kl = inf", "config-value : quality.max_kl", "Infinity", "nats"],
  ["[quality]\nbits = 4.5", "config-value : quality.bits", "none is planned", 'types = "gguf"'],
  ["[quality]\nbits = 0", "config-value : quality.bits", "bits = 0 is not a positive number", "4.5"],
  ["[quality]\nmax_bytes = 1.5", "config-value : quality.max_bytes", "not a positive integer", ""],
  [
    '[quality]\nmode = "bounded"\nmax_kl = 0.1\nmax_bytes = 9\n[plan]\ntypes = "gguf"',
    "config-value : quality.max_bytes",
    "both max_kl and max_bytes",
    "keep one",
  ],
  ['[plan]\ntypes = "gguf"', "config-value : plan.types", "bounded builds", 'mode = "bounded"'],
  [
    '[quality]\nmode = "bounded"\n[plan]\ntypes = "gguf"\nbits = [4]',
    "config-value : plan.types",
    "both types and bits",
    "keep one",
  ],
  ['[plan]\ntypes = "ggml"', "config-value : plan.types", "unknown types ggml", "gguf"],
  ['[plan]\nforms = ["gatd"]', "config-value : plan.forms", 'unknown form "gatd"', "dense, gated"],
  ["[plan]\nbits = [7]", "config-value : plan.bits", "bits = 7 is not offered", "3, 4, 5, 6, 8"],
  ["[plan]\nrank = [6]", "config-value : plan.rank", "rank = 6 is not a multiple of 4", "[0, 16]"],
  ["[plan]\nforms = []", "config-value : plan.forms", "forms is empty", "leave the key out"],
  ["[plan]\nk = [0]", "config-value : plan.k", "k = 0 is not a positive integer", "k = [64]"],
  ["[plan]\nk = [1.5]", "config-value : plan.k", "k = 1.5", ""],
  ["[plan]\nk = 64", "config-value : plan.k", "k must be a list", ""],
  ["[plan]\nepsilon = [0]", "config-value : plan.epsilon", "epsilon = 0 is out of range", "at most 1"],
  ["[plan]\nepsilon = [0.1, 2]", "config-value : plan.epsilon", "epsilon = 2 is out of range", ""],
  ["[plan]\nepsilon = [nan]", "config-value : plan.epsilon", "epsilon = NaN is out of range", ""],
  ["[plan]\nepsilon = [-1]", "config-value : plan.epsilon", "epsilon = -1 is out of range", ""],
  ['[plan]\nepsilon = ["0.1"]', "config-value : plan.epsilon", 'epsilon = "0.1"', ""],
  ["[target]\ntuning = 3", "config-value : target.tuning", "must be a string", "quote it"],
  ["[target]\nname = 3", "config-value : target.name", "must be a string", "targets/"],
  ["[[plan]]\nk = [1]", "config-value : plan", "plan must be a table", "[plan]"],
];

test.each(refused)("refuses %j", (rest, codeAndPlace, message, hint) => {
  const file = write(`${start}${rest}\n`);
  const error = errorOf(file);
  expect(error.exitCode).toBe(2);
  expect(`${error.code} ${error.where!.slice(file.length)}`).toMatch(codeAndPlace);
  expect(error.message).toContain(message);
  expect(error.hint).toContain(hint);
});

test("refuses names that are no file names", () => {
  for (const name of [
    "",
    "..",
    ".hidden",
    "a/b",
    "a b",
    'a"b',
    "a\\nb",
    "*/",
    "{{x}}",
    "é",
    "x".repeat(65),
  ]) {
    const error = errorOf(write(`[model]\nsource = "w"\nname = '''${name.replace("\\n", "\n")}'''\n`));
    expect(error).toMatchObject({ code: "config-value", exitCode: 2 });
    expect(error.message).toContain("cannot name a build");
  }
});

test("refuses files that are not there, not text, not UTF-8, or without a source", () => {
  expect(errorOf(join(folder, "none.toml"))).toMatchObject({ code: "config-unreadable", exitCode: 2 });
  expect(errorOf(folder)).toMatchObject({ code: "config-unreadable", where: folder });
  expect(errorOf(write(Uint8Array.of(0x61, 0xff, 0xfe)))).toMatchObject({ code: "config-encoding" });
  const marked = errorOf(write(`\ufeff${start}`));
  expect(marked).toMatchObject({ code: "config-encoding", where: join(folder, "model.toml:1:1") });
  expect(marked.hint).toContain("without a byte-order mark");
  const empty = errorOf(write(""));
  expect(empty).toMatchObject({ code: "config-value", message: "model.source is missing" });
  expect(empty.hint).toContain("source =");
});
