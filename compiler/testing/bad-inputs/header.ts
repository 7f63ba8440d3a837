import { testBundle } from "../../../runtime/testing/bundle.js";
import { encodeFiles } from "../../calibrate/text.js";
import { readGguf } from "../../read/gguf.js";
import { readTokenizer, type TextTokenizer } from "../../read/tokenizer.js";
import { entry, ggufBytes, piece, safetensorsBytes } from "../files.js";
import {
  artefact,
  type BadCase,
  bad,
  config,
  gguf,
  graph,
  index,
  safetensors,
  settings,
  tokenizer,
  toml,
} from "./case.js";

const one = { a: { dtype: "F32", shape: [1], data_offsets: [0, 4] } };
const bytes = (count: number) => new Uint8Array(count);
const tensor = { name: "a", ne: [16], type: 0, offset: 0 };
const good = testBundle(new Uint8Array(64));
const noTokenizer: TextTokenizer = { encode: () => [1], decode: () => "" };
const nested = (depth: number) => "[".repeat(depth);
const array = (type: number, count: number | bigint, ...items: Uint8Array[]) =>
  Buffer.concat([piece.u32(type), piece.u64(count), ...items]);
const entries = (...list: Uint8Array[]) => gguf(ggufBytes({ entries: list, data: bytes(64) }));
const headed = (header: unknown, data = 4) => safetensors(safetensorsBytes(header, bytes(data)));
const named = (name: string) => headed(`{${JSON.stringify(name)}:${JSON.stringify(one.a)}}`);
const shaped = (shape: string) => headed(`{"a":{"dtype":"F32","shape":${shape},"data_offsets":[0,4]}}`);
const spoilt = (change: (manifest: Record<string, unknown>) => void) =>
  artefact(testBundle(bytes(64), change));

/** Cases 13 to 26: what a header says. */
export const headerCases: readonly BadCase[] = [
  bad(
    13,
    "safetensors",
    safetensors(safetensorsBytes("{}").map((b) => (b === 0x7d ? 0xff : b))),
    "file-encoding",
    "@/model.safetensors: byte 9",
  ),
  bad(
    13,
    "GGUF",
    entries(entry("a", 8, Buffer.concat([piece.u64(1), piece.u8(0xff)]))),
    "file-encoding",
    "@/model.gguf: byte 45",
  ),
  bad(13, "config", config(Buffer.from('{"a":"\xff"}', "latin1")), "file-encoding", "@/config.json: byte 6"),
  bad(
    13,
    "tokenizer",
    tokenizer(Buffer.from('{"\xe4":1}', "latin1")),
    "file-encoding",
    "@/tokenizer.json: byte 2",
  ),
  bad(13, "model.toml", toml(Uint8Array.of(0x61, 0xff)), "config-encoding", "@/model.toml", {
    category: "usage",
  }),
  bad(
    13,
    "text",
    (s) => encodeFiles([s.write("t.txt", Uint8Array.of(97, 255))], noTokenizer, 9),
    "text-unreadable",
    "@/t.txt: byte 1",
  ),
  bad(14, "safetensors", headed('{"a":{},"a":{}}'), "json-duplicate-key", "@/model.safetensors: byte 16"),
  bad(
    14,
    "spelt differently",
    headed('{"a":{},"\\u0061":{}}'),
    "json-duplicate-key",
    "@/model.safetensors: byte 16",
  ),
  bad(14, "config", config('{"a":1,"a":2}'), "json-duplicate-key", "@/config.json: byte 7"),
  bad(
    14,
    "tokenizer",
    tokenizer('{"model":{"vocab":{"a":0,"a":1}}}'),
    "json-duplicate-key",
    "@/tokenizer.json: byte 25",
  ),
  bad(
    14,
    "index",
    index('{"weight_map":{"a":"1.safetensors","a":"2.safetensors"}}'),
    "json-duplicate-key",
    "@/model.safetensors.index.json: byte 35",
  ),
  bad(14, "model.toml", settings("name = 'n'"), "config-syntax", "@/model.toml:4:11", { category: "usage" }),
  bad(15, "__proto__", named("__proto__"), "tensor-name", '@/model.safetensors: tensor "__proto__"'),
  bad(15, "constructor", named("constructor"), "tensor-name", '@/model.safetensors: tensor "constructor"'),
  bad(
    15,
    "GGUF",
    gguf(ggufBytes({ tensors: [{ ...tensor, name: "__proto__" }], data: bytes(64) })),
    "tensor-name",
    '@/model.gguf: tensor "__proto__"',
  ),
  bad(15, "a key of GGUF", entries(entry("__proto__", 0, piece.u8(1))), "gguf-key", "@/model.gguf: byte 24"),
  bad(15, "a key of model.toml", toml("[__proto__]\na = 1"), "config-unknown-key", "@/model.toml:1", {
    category: "usage",
  }),
  bad(16, "NUL", named("a\0b"), "tensor-name", '@/model.safetensors: tensor "a\\u0000b"'),
  bad(16, "a line break", named("a\nb"), "tensor-name", '@/model.safetensors: tensor "a\\nb"'),
  bad(
    16,
    "GGUF",
    gguf(ggufBytes({ tensors: [{ ...tensor, name: "a\0" }], data: bytes(64) })),
    "tensor-name",
    '@/model.gguf: tensor "a\\u0000"',
  ),
  bad(16, "a key of GGUF", entries(entry("a\n", 0, piece.u8(1))), "gguf-key", "@/model.gguf: byte 24"),
  bad(
    16,
    "artefact",
    spoilt((m) => {
      m.name = "a\u001b[31m";
    }),
    "bundle-invalid",
    "@/model.gsi: byte 4096",
    { says: ["manifest.name holds a control character"] },
  ),
  bad(17, "2^53", shaped("[9007199254740992]"), "tensor-shape", '@/model.safetensors: tensor "a"'),
  bad(17, "fractional", shaped("[1.0]"), "tensor-shape", '@/model.safetensors: tensor "a"'),
  bad(17, "negative", shaped("[-1]"), "tensor-shape", '@/model.safetensors: tensor "a"'),
  bad(17, "1e3", shaped("[1e3]"), "tensor-shape", '@/model.safetensors: tensor "a"'),
  bad(
    17,
    "GGUF, 2^63",
    gguf(ggufBytes({ tensors: [{ ...tensor, ne: [1n << 63n] }] })),
    "size-overflow",
    "@/model.gguf: byte 37",
  ),
  bad(
    17,
    "artefact, negative",
    spoilt((m) => {
      m.vocabulary = -1;
    }),
    "bundle-invalid",
    "@/model.gsi: byte 4096",
    { says: ["manifest.vocabulary is -1"] },
  ),
  bad(
    17,
    "artefact, 1e3",
    spoilt((m) => {
      m.context = 1.5;
    }),
    "bundle-invalid",
    "@/model.gsi: byte 4096",
    { says: ["manifest.context is 1.5"] },
  ),
  bad(18, "safetensors", headed(`{"a":${nested(100_000)}`), "json-depth", "@/model.safetensors: byte 45"),
  bad(18, "config", config(`{"a":${nested(100_000)}`), "json-depth", "@/config.json: byte 37"),
  bad(18, "tokenizer", tokenizer(`{"a":${nested(100_000)}`), "json-depth", "@/tokenizer.json: byte 37"),
  bad(18, "graph.ts", graph(`const a = ${nested(100_000)};`), "graph-syntax", "@/graph.ts", {
    category: "usage",
  }),
  bad(18, "model.toml", toml(`a = ${nested(100_000)}`), "config-syntax", "@/model.toml:1:100006", {
    category: "usage",
  }),
  bad(
    18,
    "artefact",
    spoilt((m) => {
      m.vocabulary = JSON.parse(nested(60) + "]".repeat(60)) as unknown;
    }),
    "bundle-invalid",
    "@/model.gsi: byte 4096",
    { says: ["nested deeper than 32"] },
  ),
  bad(
    19,
    "a number",
    headed('{"__metadata__":{"a":1}}', 0),
    "safetensors-metadata",
    '@/model.safetensors: key "__metadata__"',
  ),
  bad(
    19,
    "no object",
    headed('{"__metadata__":"x"}', 0),
    "safetensors-metadata",
    '@/model.safetensors: key "__metadata__"',
  ),
  bad(20, "a string", entries(entry("a", 8, piece.u64(1000))), "gguf-truncated", "@/model.gguf: byte 37"),
  bad(20, "an array", entries(entry("a", 9, array(10, 1000))), "gguf-truncated", "@/model.gguf: byte 41"),
  bad(
    20,
    "a string of 2^64 - 1",
    entries(entry("a", 8, piece.u64(2n ** 64n - 1n))),
    "size-overflow",
    "@/model.gguf: byte 37",
  ),
  bad(
    20,
    "an array of 2^40",
    entries(entry("a", 9, array(0, 1n << 40n))),
    "gguf-count",
    "@/model.gguf: byte 41",
  ),
  bad(
    21,
    "GGUF",
    entries(entry("a", 9, array(9, 1, array(0, 0)))),
    "gguf-nested-array",
    "@/model.gguf: byte 37",
  ),
  bad(22, "of a value", entries(entry("a", 13, piece.u64(0))), "gguf-value-type", "@/model.gguf: byte 33"),
  bad(22, "of elements", entries(entry("a", 9, array(77, 0))), "gguf-value-type", "@/model.gguf: byte 37"),
  bad(22, "a boolean of 2", entries(entry("a", 7, piece.u8(2))), "gguf-boolean", "@/model.gguf: byte 37"),
  bad(23, "empty", entries(entry("", 0, piece.u8(1))), "gguf-key", "@/model.gguf: byte 24"),
  bad(
    23,
    "duplicate",
    entries(entry("a", 0, piece.u8(1)), entry("a", 0, piece.u8(1))),
    "gguf-duplicate-key",
    "@/model.gguf: byte 38",
  ),
  bad(23, "an empty tensor name", named(""), "tensor-name", '@/model.safetensors: tensor ""'),
  bad(
    24,
    "tokens that are numbers",
    async (s) => {
      const text = entry("tokenizer.ggml.model", 8, piece.string("gpt2"));
      const tokens = entry("tokenizer.ggml.tokens", 9, array(6, 1, piece.f32(1)));
      return readTokenizer(await readGguf(s.write("m.gguf", ggufBytes({ entries: [text, tokens] }))));
    },
    "tokenizer-malformed",
    "@/m.gguf: tokenizer.ggml.tokens",
  ),
  bad(
    24,
    "an alignment that is text",
    entries(entry("general.alignment", 8, piece.string("32"))),
    "gguf-key-type",
    "@/model.gguf: key general.alignment",
  ),
  ...[0, 48, 2 ** 31].map((alignment) =>
    bad(
      25,
      `${alignment}`,
      entries(entry("general.alignment", 4, piece.u32(alignment))),
      "gguf-alignment",
      "@/model.gguf: key general.alignment",
    ),
  ),
  bad(
    26,
    "a million tensors",
    gguf(ggufBytes({ tensorCount: 1_000_000 })),
    "gguf-count",
    "@/model.gguf: byte 8",
  ),
  bad(
    26,
    "more keys than fit",
    gguf(ggufBytes({ keyCount: 5000 })),
    "gguf-truncated",
    "@/model.gguf: byte 16",
  ),
  bad(
    26,
    "100,001 tensors",
    headed(`{${Array.from({ length: 100_001 }, (_, i) => `"${i}":0`).join()}}`),
    "safetensors-count",
    "@/model.safetensors: byte 8",
  ),
  bad(
    26,
    "sections of an artefact",
    artefact(
      good.then((file) => {
        const copy = file.slice();
        copy[12] = 65;
        return copy;
      }),
    ),
    "bundle-invalid",
    "@/model.gsi: byte 12",
  ),
];
