import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { codeOf, safetensorsBytes, temporaryFolder } from "../testing/files.js";
import { readSafetensors, readShardedSafetensors, readTensors, writeSafetensors } from "./safetensors.js";
import { parseShardIndex } from "./safetensors-shards.js";

const folder = temporaryFolder();
afterAll(folder.remove);

const f32 = (shape: number[], begin: number, end: number) => ({
  dtype: "F32",
  shape,
  data_offsets: [begin, end],
});
const bytes = (count: number) => new Uint8Array(count);

const good = safetensorsBytes(
  {
    __metadata__: { format: "pt" },
    b: f32([2, 3], 4, 28),
    a: f32([], 0, 4),
    mask: { dtype: "BOOL", shape: [2], data_offsets: [28, 30] },
  },
  Uint8Array.from({ length: 30 }, (_, index) => index),
);

describe("readSafetensors", () => {
  test("sorts weights and others apart, with absolute offsets", async () => {
    const file = folder.write("good.safetensors", good);
    const start = good.length - 30;
    const { tensors, ignored, metadata } = await readSafetensors(file);
    expect([...tensors.values()]).toEqual([
      { name: "a", dtype: "f32", shape: [], file, offset: start, bytes: 4 },
      { name: "b", dtype: "f32", shape: [2, 3], file, offset: start + 4, bytes: 24 },
    ]);
    expect([...ignored.values()]).toEqual([
      { name: "mask", dtype: "BOOL", shape: [2], file, offset: start + 28, bytes: 2 },
    ]);
    expect([...metadata]).toEqual([["format", "pt"]]);
  });

  const length = (value: bigint, rest = 0) => {
    const head = Buffer.alloc(8 + rest, 0x20);
    head.writeBigUInt64LE(value);
    return head;
  };
  const one = (tensor: unknown, data = 4) => safetensorsBytes({ a: tensor }, bytes(data));
  const named = (name: string) =>
    safetensorsBytes(`{${JSON.stringify(name)}:${JSON.stringify(f32([1], 0, 4))}}`, bytes(4));
  const shaped = (shape: string) =>
    safetensorsBytes(`{"a":{"dtype":"F32","shape":${shape},"data_offsets":[0,4]}}`, bytes(4));
  const cases: [string, string, Uint8Array | string][] = [
    ["an empty file", "file-empty", ""],
    ["a short file", "safetensors-truncated", bytes(7)],
    ["a header longer than the file", "safetensors-truncated", length(1000n, 8)],
    ["a header above 100 MB", "safetensors-header-length", length(100_000_001n, 8)],
    ["a header of 2^63", "safetensors-header-length", length(1n << 63n, 8)],
    ["an empty header", "safetensors-header", length(0n, 8)],
    ["a header that is an array", "safetensors-header", safetensorsBytes("[]")],
    ["truncated data", "safetensors-truncated", one(f32([1], 0, 4), 3)],
    ["trailing bytes", "safetensors-trailing", one(f32([1], 0, 4), 5)],
    [
      "a Git LFS pointer",
      "file-lfs-pointer",
      "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n",
    ],
    ["a web page", "file-html", "\n<!DOCTYPE html><html></html>"],
    ["a message of the hub", "file-html", "Entry not found"],
    ["a GGUF file", "safetensors-magic", "GGUF\u0003\0\0\0"],
    ["a PyTorch archive", "safetensors-magic", "PK\u0003\u0004abcdefgh"],
    ["invalid UTF-8", "file-encoding", safetensorsBytes("{}").map((byte) => (byte === 0x7d ? 0xff : byte))],
    ["malformed JSON", "json-syntax", safetensorsBytes('{"a":}')],
    ["text after the JSON", "json-syntax", safetensorsBytes("{} {}")],
    ["half a surrogate pair", "json-syntax", safetensorsBytes('{"__metadata__":{"a":"\\ud800"}}')],
    ["a duplicate tensor", "json-duplicate-key", safetensorsBytes('{"a":{},"a":{}}')],
    ["a duplicate key, spelt differently", "json-duplicate-key", safetensorsBytes('{"a":{},"\\u0061":{}}')],
    ["deep nesting", "json-depth", safetensorsBytes(`{"a":${"[".repeat(100_000)}`)],
    ["__proto__", "tensor-name", named("__proto__")],
    ["constructor", "tensor-name", named("constructor")],
    ["an empty name", "tensor-name", named("")],
    ["a NUL in a name", "tensor-name", named("a\0b")],
    ["a line break in a name", "tensor-name", named("a\nb")],
    ["an endless name", "tensor-name", named("x".repeat(5000))],
    ["metadata that is no object", "safetensors-metadata", safetensorsBytes('{"__metadata__":"x"}')],
    ["metadata that is no text", "safetensors-metadata", safetensorsBytes('{"__metadata__":{"a":1}}')],
    ["a tensor that is no object", "safetensors-tensor", safetensorsBytes('{"a":1}')],
    ["an unknown key", "safetensors-tensor", one({ ...f32([1], 0, 4), extra: 1 })],
    ["no shape", "safetensors-tensor", one({ dtype: "F32", data_offsets: [0, 4] })],
    ["an unknown type", "tensor-type", one({ ...f32([1], 0, 4), dtype: "F33" })],
    ["a type that is no text", "safetensors-tensor", one({ ...f32([1], 0, 4), dtype: 4 })],
    ["a negative dimension", "tensor-shape", shaped("[-1]")],
    ["a fractional dimension", "tensor-shape", shaped("[1.0]")],
    ["a dimension with an exponent", "tensor-shape", shaped("[1e0]")],
    ["a dimension of 2^53", "tensor-shape", shaped("[9007199254740992]")],
    ["a dimension that is text", "tensor-shape", shaped('["1"]')],
    ["too many dimensions", "safetensors-tensor", shaped("[1,1,1,1,1,1,1,1,1]")],
    ["a product of 2^64", "size-overflow", shaped("[4294967296,4294967296]")],
    ["an overflow behind a zero", "size-overflow", shaped("[0,4294967296,4294967296]")],
    ["a size in bytes of 2^54", "size-overflow", shaped("[4503599627370496]")],
    ["no elements", "tensor-empty", one(f32([0], 0, 0), 0)],
    ["three offsets", "safetensors-tensor", one({ ...f32([1], 0, 4), data_offsets: [0, 4, 4] })],
    ["offsets in the wrong order", "safetensors-tensor", one({ ...f32([1], 0, 4), data_offsets: [4, 0] })],
    ["a size that is not shape x type", "tensor-size", one(f32([2], 0, 4))],
    ["a hole at the start", "tensor-layout", one(f32([1], 4, 8), 8)],
    ["a hole", "tensor-layout", safetensorsBytes({ a: f32([1], 0, 4), b: f32([1], 8, 12) }, bytes(12))],
    ["an overlap", "tensor-layout", safetensorsBytes({ a: f32([2], 0, 8), b: f32([1], 4, 8) }, bytes(8))],
    ["a shared range", "tensor-layout", safetensorsBytes({ a: f32([1], 0, 4), b: f32([1], 0, 4) }, bytes(4))],
    ["offsets past the end", "safetensors-truncated", one(f32([1000], 0, 4000), 8)],
  ];
  test.each(cases)("refuses %s: %s", async (name, code, content) => {
    const file = folder.write("bad.safetensors", content);
    expect(await codeOf(() => readSafetensors(file)), name).toBe(code);
  });

  test("names the byte of a fault behind characters of several bytes", async () => {
    const file = folder.write("bad.safetensors", safetensorsBytes('{"äöü":?}'));
    await expect(readSafetensors(file)).rejects.toMatchObject({ where: `${file}: byte ${8 + 10}` });
  });

  test("refuses a folder, a device, a FIFO and a missing file", async () => {
    const fifo = join(folder.path, "fifo");
    spawnSync("mkfifo", [fifo]);
    expect(await codeOf(() => readSafetensors(folder.path))).toBe("file-kind");
    expect(await codeOf(() => readSafetensors("/dev/zero"))).toBe("file-kind");
    expect(await codeOf(() => readSafetensors(fifo))).toBe("file-kind");
    expect(await codeOf(() => readSafetensors(join(folder.path, "none")))).toBe("file-missing");
  });

  test("a file cut at any byte is refused", async () => {
    for (let size = 0; size < good.length; size++) {
      const file = folder.write("cut.safetensors", good.subarray(0, size));
      const code = await codeOf(() => readSafetensors(file));
      expect(code, `${size} bytes`).toMatch(/^(file-empty|safetensors-truncated)$/);
    }
  });

  test("changed bytes give a GsicError or a result that fits the file", async () => {
    const change = fc.tuple(fc.nat(good.length - 1), fc.integer({ min: 0, max: 255 }));
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
        const changed = Uint8Array.from(good);
        for (const [position, value] of changes) {
          changed[position] = value;
        }
        const file = folder.write("changed.safetensors", changed);
        const code = await codeOf(async () => {
          const { tensors, ignored } = await readSafetensors(file);
          for (const { offset, bytes } of [...tensors.values(), ...ignored.values()]) {
            expect(offset + bytes).toBeLessThanOrEqual(changed.length);
          }
        });
        expect(code).toMatch(/^(\(no error\)|[a-z0-9-]+)$/);
      }),
      { numRuns: 1000 },
    );
  });
});

describe("readShardedSafetensors", () => {
  const shard = (...names: string[]) =>
    safetensorsBytes(
      Object.fromEntries(names.map((name, at) => [name, f32([1], 4 * at, 4 * at + 4)])),
      bytes(4 * names.length),
    );
  const model = (files: Record<string, Uint8Array>, weightMap: unknown) => {
    const home = temporaryFolder();
    for (const [name, content] of Object.entries(files)) {
      home.write(name, content);
    }
    home.write("model.safetensors.index.json", JSON.stringify({ weight_map: weightMap }));
    return home;
  };

  test("joins shards", async () => {
    const home = model(
      { "1.safetensors": shard("a", "c"), "2.safetensors": shard("b") },
      { a: "1.safetensors", b: "2.safetensors", c: "1.safetensors" },
    );
    const { tensors } = await readShardedSafetensors(home.path);
    expect([...tensors.keys()].sort()).toEqual(["a", "b", "c"]);
    expect(tensors.get("b")?.file).toBe(join(home.path, "2.safetensors"));
    home.remove();
  });

  test.each([
    ["a missing shard", "index-shard-missing", { a: "2.safetensors" }],
    ["..", "index-shard-name", { a: "../1.safetensors" }],
    ["an inner ..", "index-shard-name", { a: "x/../../1.safetensors" }],
    ["an absolute path", "index-shard-name", { a: "/tmp/1.safetensors" }],
    ["a backslash", "index-shard-name", { a: "..\\1.safetensors" }],
    ["another ending", "index-shard-name", { a: "config.json" }],
    ["a NUL", "index-shard-name", { a: "1\0.safetensors" }],
    ["a number", "index-weight-map", { a: 1 }],
    ["an array", "index-weight-map", ["1.safetensors"]],
    ["nothing", "index-weight-map", {}],
    [
      "a tensor that no shard holds",
      "index-tensor-missing",
      { a: "1.safetensors", b: "1.safetensors", z: "1.safetensors" },
    ],
    ["a tensor that it does not name", "index-tensor-extra", { a: "1.safetensors" }],
  ])("refuses an index with %s: %s", async (_, code, weightMap) => {
    const home = model({ "1.safetensors": shard("a", "b") }, weightMap);
    expect(await codeOf(() => readShardedSafetensors(home.path))).toBe(code);
    home.remove();
  });

  test("refuses a tensor in two shards, in the files or in the index", async () => {
    const home = model(
      { "1.safetensors": shard("a", "b"), "2.safetensors": shard("b") },
      { a: "1.safetensors", b: "2.safetensors" },
    );
    expect(await codeOf(() => readShardedSafetensors(home.path))).toBe("index-tensor-twice");
    home.remove();
    const text = '{"weight_map":{"a":"1.safetensors","a":"2.safetensors"}}';
    expect(await codeOf(() => parseShardIndex(text, "index"))).toBe("json-duplicate-key");
  });

  test("refuses a link that leaves the folder, but not the Hugging Face cache's links", async () => {
    const home = model({}, { a: "1.safetensors" });
    const elsewhere = folder.write("elsewhere.safetensors", shard("a"));
    symlinkSync(elsewhere, join(home.path, "1.safetensors"));
    expect(await codeOf(() => readShardedSafetensors(home.path))).toBe("index-shard-link");
    home.remove();

    const cache = temporaryFolder();
    mkdirSync(join(cache.path, "snapshots/commit"), { recursive: true });
    mkdirSync(join(cache.path, "blobs"));
    cache.write("blobs/1234", shard("a"));
    cache.write("snapshots/commit/model.safetensors.index.json", '{"weight_map":{"a":"1.safetensors"}}');
    symlinkSync("../../blobs/1234", join(cache.path, "snapshots/commit/1.safetensors"));
    const { tensors } = await readShardedSafetensors(join(cache.path, "snapshots/commit"));
    expect([...tensors.keys()]).toEqual(["a"]);
    cache.remove();
  });

  test("says so where there are no weights", async () => {
    const home = temporaryFolder();
    expect(await codeOf(() => readShardedSafetensors(home.path))).toBe("weights-missing");
    home.remove();
  });
});

describe("writeSafetensors and readTensors", () => {
  test("give back what was written, in any order and in parts", async () => {
    const file = join(folder.path, "written.safetensors");
    async function* parts() {
      yield Float32Array.of(1, 2);
      yield Float32Array.of(3);
    }
    await writeSafetensors(
      file,
      [
        { name: "half", dtype: "F16", shape: [2], data: Uint16Array.of(0x3c00, 0xc000) },
        { name: "parts", dtype: "F32", shape: [3, 1], data: parts },
        { name: "counts", dtype: "I64", shape: [1], data: BigInt64Array.of(-5n) },
        { name: "ids", dtype: "I32", shape: [2], data: Int32Array.of(7, -8) },
      ],
      { "a key": "ein Wert ä" },
    );
    const { tensors, metadata } = await readTensors(file);
    expect([...metadata]).toEqual([["a key", "ein Wert ä"]]);
    expect([...tensors.keys()]).toEqual(["counts", "parts", "ids", "half"]);
    expect(tensors.get("parts")).toEqual({
      name: "parts",
      dtype: "F32",
      shape: [3, 1],
      data: Float32Array.of(1, 2, 3),
    });
    expect(tensors.get("half")?.data).toEqual(Float32Array.of(1, -2));
    expect(tensors.get("ids")?.data).toEqual(Int32Array.of(7, -8));
    expect(tensors.get("counts")?.data).toEqual(BigInt64Array.of(-5n));
  });

  test("a failure leaves the old file and nothing else", async () => {
    const home = temporaryFolder();
    const file = home.write("out.safetensors", "old");
    const short = { name: "a", dtype: "F32", shape: [2], data: Float32Array.of(1) } as const;
    expect(await codeOf(() => writeSafetensors(file, [short]))).toBe("safetensors-misuse");
    const long = { ...short, shape: [1], data: Float32Array.of(1, 2) };
    expect(await codeOf(() => writeSafetensors(file, [long]))).toBe("safetensors-misuse");
    expect(await codeOf(() => writeSafetensors(file, [short, short]))).toBe("safetensors-misuse");
    expect(readFileSync(file, "utf8")).toBe("old");
    expect(readdirSync(home.path)).toEqual(["out.safetensors"]);
    expect(await codeOf(() => writeSafetensors(join(home.path, "none/x"), []))).toBe("file-unwritable");
    home.remove();
  });
});

test("reads every model fixture", async () => {
  const fixtures = join(import.meta.dirname, "../models/fixtures");
  const folders = readdirSync(fixtures).filter((name) => {
    const has = (file: string) => existsSync(join(fixtures, name, file));
    // ONNX files may have the configuration beside them, too.
    return has("config.json") && !has("model.onnx");
  });
  expect(folders.length).toBeGreaterThan(0);
  for (const name of folders) {
    const { tensors } = await readShardedSafetensors(join(fixtures, name));
    expect(tensors.size, name).toBeGreaterThan(5);
    const expected = await readTensors(join(fixtures, name, "expected.safetensors"));
    expect(expected.tensors.size, name).toBeGreaterThan(0);
  }
});
