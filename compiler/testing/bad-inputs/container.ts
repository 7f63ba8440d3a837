import { mkdirSync } from "node:fs";
import { testBundle } from "../../../runtime/testing/bundle.js";
import { readPlan } from "../../build-folder/open.js";
import { encodeFiles } from "../../calibrate/text.js";
import { runTool } from "../../cc/tool.js";
import { readConfig } from "../../config/config.js";
import { readSafetensors } from "../../read/safetensors.js";
import { readTokenizer, type TextTokenizer } from "../../read/tokenizer.js";
import { ggufBytes, piece, safetensorsBytes } from "../files.js";
import {
  artefact,
  type BadCase,
  bad,
  config,
  gguf,
  graph,
  index,
  opened,
  safetensors,
  statistics,
  target,
  tokenizer,
  toml,
} from "./case.js";

const one = { a: { dtype: "F32", shape: [1], data_offsets: [0, 4] } };
const bytes = (count: number) => new Uint8Array(count);
const length = (value: bigint, rest = 8) => Buffer.concat([piece.u64(value), Buffer.alloc(rest, 0x20)]);
const tensor = { name: "a", ne: [16], type: 0, offset: 0 };
const lfs = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n";
const page = "<!DOCTYPE html><html></html>";
const good = testBundle(new Uint8Array(64));
const noTokenizer: TextTokenizer = { encode: () => [1], decode: () => "" };

/** Cases 1 to 12: what a file is. */
export const containerCases: readonly BadCase[] = [
  bad(1, "safetensors", safetensors(""), "file-empty", "@/model.safetensors"),
  bad(1, "GGUF", gguf(""), "file-empty", "@/model.gguf"),
  bad(1, "config", config(""), "json-syntax", "@/config.json: byte 0"),
  bad(1, "tokenizer", tokenizer(""), "json-syntax", "@/tokenizer.json: byte 0"),
  bad(1, "statistics", statistics(""), "file-empty", "@/stats.safetensors"),
  bad(1, "model.toml", toml(""), "config-value", "@/model.toml: model.source", { category: "usage" }),
  bad(1, "graph.ts", graph(""), "graph-model", "@/graph.ts:1:1", { category: "usage" }),
  bad(1, "target", target(""), "target-invalid", "@/mine.toml: device", { category: "usage" }),
  bad(1, "artefact", artefact(""), "bundle-invalid", "@/model.gsi: byte 0"),
  bad(2, "safetensors", safetensors(bytes(7)), "safetensors-truncated", "@/model.safetensors: byte 7"),
  bad(2, "GGUF", gguf("GGUF\u0003"), "gguf-truncated", "@/model.gguf: byte 5"),
  bad(2, "statistics", statistics(bytes(3)), "safetensors-truncated", "@/stats.safetensors: byte 3"),
  bad(2, "artefact", artefact(bytes(31)), "bundle-invalid", "@/model.gsi: byte 31"),
  bad(
    3,
    "GGUF as safetensors",
    safetensors(ggufBytes({})),
    "safetensors-magic",
    "@/model.safetensors: byte 0",
  ),
  bad(3, "safetensors as GGUF", gguf(safetensorsBytes(one, bytes(4))), "gguf-magic", "@/model.gguf: byte 0"),
  bad(
    3,
    "a PyTorch archive",
    safetensors("PK\u0003\u0004abcd"),
    "safetensors-magic",
    "@/model.safetensors: byte 0",
  ),
  bad(3, "GGML", gguf(ggufBytes({ magic: "tjgg" })), "gguf-magic", "@/model.gguf: byte 0"),
  bad(
    3,
    "one shard as a model",
    (s) => opened(s.write("a.safetensors", "")),
    "source-kind",
    "@/a.safetensors",
  ),
  bad(3, "artefact", artefact(bytes(64)), "bundle-invalid", "@/model.gsi: byte 0"),
  bad(
    4,
    "version 3 of other bytes",
    gguf(ggufBytes({ version: 3 << 24 })),
    "gguf-big-endian",
    "@/model.gguf: byte 4",
  ),
  ...[0, 1, 4, 2 ** 32 - 1].map((version) =>
    bad(5, `version ${version}`, gguf(ggufBytes({ version })), "gguf-version", "@/model.gguf: byte 4"),
  ),
  bad(6, "safetensors", safetensors(length(1000n)), "safetensors-truncated", "@/model.safetensors: byte 0"),
  bad(6, "statistics", statistics(length(1000n)), "safetensors-truncated", "@/stats.safetensors: byte 0"),
  bad(
    6,
    "artefact",
    artefact(good.then((file) => file.slice(0, 100))),
    "bundle-invalid",
    "@/model.gsi: byte 16",
  ),
  bad(
    7,
    "safetensors",
    safetensors(length(100_000_001n)),
    "safetensors-header-length",
    "@/model.safetensors: byte 0",
  ),
  bad(
    8,
    "safetensors",
    safetensors(length(1n << 63n)),
    "safetensors-header-length",
    "@/model.safetensors: byte 0",
  ),
  bad(8, "GGUF keys", gguf(ggufBytes({ keyCount: 1n << 63n })), "size-overflow", "@/model.gguf: byte 16"),
  bad(
    9,
    "safetensors",
    safetensors(safetensorsBytes(one, bytes(3))),
    "safetensors-truncated",
    "@/model.safetensors: byte 65",
  ),
  bad(
    9,
    "GGUF",
    gguf(ggufBytes({ tensors: [tensor], data: bytes(63) })),
    "gguf-truncated",
    '@/model.gguf: tensor "a": byte 64',
  ),
  bad(
    9,
    "artefact",
    artefact(good.then((file) => file.slice(0, -1))),
    "bundle-invalid",
    "@/model.gsi: byte 16",
  ),
  bad(
    10,
    "safetensors",
    safetensors(safetensorsBytes(one, bytes(5))),
    "safetensors-trailing",
    "@/model.safetensors: byte 66",
  ),
  bad(
    10,
    "GGUF",
    gguf(ggufBytes({ tensors: [tensor], data: bytes(65) })),
    "gguf-trailing",
    "@/model.gguf: byte 128",
  ),
  bad(10, "config", config("{} {}"), "json-syntax", "@/config.json: byte 3"),
  bad(
    10,
    "artefact",
    artefact(good.then((file) => Buffer.concat([file, bytes(1)]))),
    "bundle-invalid",
    "@/model.gsi: byte 16",
  ),
  bad(11, "LFS, safetensors", safetensors(lfs), "file-lfs-pointer", "@/model.safetensors", {
    says: ["git lfs pull"],
  }),
  bad(11, "LFS, GGUF", gguf(lfs), "file-lfs-pointer", "@/model.gguf", { says: ["git lfs pull"] }),
  bad(11, "LFS, config", config(lfs), "file-lfs-pointer", "@/config.json"),
  bad(11, "LFS, tokenizer", tokenizer(lfs), "file-lfs-pointer", "@/tokenizer.json"),
  bad(11, "LFS, statistics", statistics(lfs), "file-lfs-pointer", "@/stats.safetensors"),
  bad(11, "LFS, index", index(lfs), "file-lfs-pointer", "@/model.safetensors.index.json"),
  bad(11, "HTML, safetensors", safetensors(page), "file-html", "@/model.safetensors"),
  bad(11, "HTML, GGUF", gguf(page), "file-html", "@/model.gguf"),
  bad(11, "HTML, config", config(page), "file-html", "@/config.json"),
  bad(11, "HTML, model.toml", toml(page), "config-syntax", "@/model.toml:1:2", { category: "usage" }),
  bad(11, "HTML, artefact", artefact(page), "bundle-invalid", "@/model.gsi: byte 28"),
  bad(11, "the hub's words", safetensors("Entry not found"), "file-html", "@/model.safetensors"),
  bad(12, "a folder as weights", (s) => readSafetensors(s.folder), "file-kind", "@"),
  bad(12, "a FIFO as weights", (s) => readSafetensors(s.fifo("f")), "file-kind", "@/f"),
  bad(12, "a device as weights", () => readSafetensors("/dev/zero"), "file-kind", "/dev/zero"),
  bad(12, "a FIFO as a model", (s) => opened(s.fifo("f.gguf")), "file-kind", "@/f.gguf"),
  bad(12, "a FIFO as model.toml", (s) => readConfig(s.fifo("f")), "config-unreadable", "@/f", {
    category: "usage",
  }),
  bad(12, "a device as model.toml", () => readConfig("/dev/zero"), "config-unreadable", "/dev/zero", {
    category: "usage",
  }),
  bad(12, "a FIFO as graph.ts", (s) => readPlan(s.fifo("f")), "graph-unreadable", "@/f", {
    category: "usage",
  }),
  bad(
    12,
    "a device as text",
    () => encodeFiles(["/dev/zero"], noTokenizer, 9),
    "text-unreadable",
    "/dev/zero",
  ),
  bad(12, "a FIFO as text", (s) => encodeFiles([s.fifo("f")], noTokenizer, 9), "text-unreadable", "@/f"),
  bad(
    12,
    "a FIFO as tokenizer",
    (s) => {
      s.fifo("tokenizer.json");
      return readTokenizer(s.folder);
    },
    "file-kind",
    "@/tokenizer.json",
  ),
  bad(
    12,
    "a folder as config.json",
    (s) => {
      mkdirSync(s.path("config.json"));
      return opened(s.folder);
    },
    "file-kind",
    "@/config.json",
  ),
  bad(
    12,
    "a FIFO as artefact",
    (s) => {
      const ids = s.write("ids", bytes(4));
      return runTool(["logits", s.fifo("f.gsi"), "--ids-file", ids, "--out", s.path("l")]);
    },
    "file-unreadable",
    "@/f.gsi",
  ),
];
