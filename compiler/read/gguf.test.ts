import { join } from "node:path";
import { gguf as oracle } from "@huggingface/gguf";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { codeOf, entry, type GgufPieces, ggufBytes, piece, temporaryFolder } from "../testing/files.js";
import { readGguf } from "./gguf.js";
import {
  metadataBoolean,
  metadataCount,
  metadataNumber,
  metadataNumbers,
  metadataString,
  metadataStrings,
} from "./gguf-metadata.js";

const folder = temporaryFolder();
afterAll(folder.remove);

const { u8, u32, u64, f32, string } = piece;
const array = (type: number, items: readonly Uint8Array[], length: number | bigint = items.length) =>
  Buffer.concat([u32(type), u64(length), ...items]);
const i64 = (value: bigint) => u64(BigInt.asUintN(64, value));
const f64 = (value: number) => Buffer.from(Float64Array.of(value).buffer);

const entries = [
  entry("general.architecture", 8, string("llama")),
  entry("a.u8", 0, u8(200)),
  entry("a.i8", 1, u8(200)),
  entry("a.u16", 2, u32(65_000).subarray(0, 2)),
  entry("a.i16", 3, u32(65_000).subarray(0, 2)),
  entry("a.u32", 4, u32(4_000_000_000)),
  entry("a.i32", 5, u32(-7)),
  entry("a.f32", 6, f32(0.5)),
  entry("a.bool", 7, u8(1)),
  entry("a.u64", 10, u64(2n ** 60n)),
  entry("a.i64", 11, i64(-9n)),
  entry("a.f64", 12, f64(0.1)),
  entry("a.strings", 9, array(8, [string("ä"), string("")])),
  entry("a.numbers", 9, array(6, [f32(1), f32(-2)])),
  entry("a.empty", 9, array(5, [])),
];
const tensors = [
  { name: "late", ne: [32, 2], type: 8, offset: 32 },
  { name: "early", ne: [3], type: 0, offset: 0 },
];
const good = ggufBytes({ entries, tensors, data: Buffer.alloc(32 + 68) });

describe("readGguf", () => {
  test("reads every value type, and tensors outermost first", async () => {
    const file = folder.write("good.gguf", good);
    const model = await readGguf(file);
    expect(Object.fromEntries(model.metadata)).toEqual({
      "general.architecture": "llama",
      "a.u8": 200,
      "a.i8": -56,
      "a.u16": 65_000,
      "a.i16": -536,
      "a.u32": 4_000_000_000,
      "a.i32": -7,
      "a.f32": 0.5,
      "a.bool": true,
      "a.u64": 2n ** 60n,
      "a.i64": -9,
      "a.f64": 0.1,
      "a.strings": ["ä", ""],
      "a.numbers": [1, -2],
      "a.empty": [],
    });
    const start = good.length - 100;
    expect(model).toMatchObject({ version: 3, alignment: 32, dataStart: start });
    expect([...model.tensors.values()]).toEqual([
      { name: "early", dtype: "f32", shape: [3], file, offset: start, bytes: 12 },
      { name: "late", dtype: "q8_0", shape: [2, 32], file, offset: start + 32, bytes: 68 },
    ]);
  });

  test("typed getters give undefined for a missing key and refuse another type", async () => {
    const model = await readGguf(folder.write("good.gguf", good));
    expect(metadataCount(model, "a.u8")).toBe(200);
    expect(metadataNumber(model, "a.f32")).toBe(0.5);
    expect(metadataString(model, "general.architecture")).toBe("llama");
    expect(metadataBoolean(model, "a.bool")).toBe(true);
    expect(metadataStrings(model, "a.strings")).toEqual(["ä", ""]);
    expect(metadataNumbers(model, "a.numbers")).toEqual([1, -2]);
    expect(metadataString(model, "none")).toBeUndefined();
    expect(await codeOf(() => metadataCount(model, "a.f32"))).toBe("size-invalid");
    expect(await codeOf(() => metadataCount(model, "a.u64"))).toBe("gguf-key-type");
    expect(await codeOf(() => metadataStrings(model, "a.numbers"))).toBe("gguf-key-type");
    expect(await codeOf(() => metadataNumbers(model, "a.strings"))).toBe("gguf-key-type");
    expect(await codeOf(() => metadataString(model, "a.bool"))).toBe("gguf-key-type");
  });

  const key = (...bytes: Uint8Array[]): GgufPieces => ({ entries: bytes, data: Buffer.alloc(64) });
  const one = (ne: (number | bigint)[], type = 0, offset: number | bigint = 0, data = 64): GgufPieces => ({
    tensors: [{ name: "a", ne, type, offset }],
    data: Buffer.alloc(data),
  });
  const two = (offset: number): GgufPieces => ({
    tensors: [
      { name: "a", ne: [16], type: 0, offset: 0 },
      { name: "b", ne: [16], type: 0, offset },
    ],
    data: Buffer.alloc(256),
  });
  const cases: [string, string, GgufPieces | Uint8Array | string][] = [
    ["an empty file", "file-empty", ""],
    ["a short file", "gguf-truncated", "GGUF\u0003"],
    ["a Git LFS pointer", "file-lfs-pointer", "version https://git-lfs.github.com/spec/v1\n"],
    ["a web page", "file-html", "<html>"],
    ["a wrong magic", "gguf-magic", { magic: "GGXF" }],
    ["a predecessor", "gguf-magic", { magic: "tjgg" }],
    ["version 0", "gguf-version", { version: 0 }],
    ["version 1", "gguf-version", { version: 1 }],
    ["version 4", "gguf-version", { version: 4 }],
    ["a big-endian file", "gguf-big-endian", { version: 3 << 24 }],
    ["2^63 tensors", "size-overflow", { tensorCount: 1n << 63n }],
    ["2^63 keys", "size-overflow", { keyCount: 1n << 63n }],
    ["a million tensors", "gguf-count", { tensorCount: 1_000_000 }],
    ["more tensors than fit", "gguf-truncated", { tensorCount: 5000 }],
    ["more keys than fit", "gguf-truncated", { keyCount: 5000 }],
    ["an empty key", "gguf-key", key(entry("", 0, u8(1)))],
    ["a control character in a key", "gguf-key", key(entry("a\n", 0, u8(1)))],
    ["__proto__ as a key", "gguf-key", key(entry("__proto__", 0, u8(1)))],
    ["a duplicate key", "gguf-duplicate-key", key(entry("a", 0, u8(1)), entry("a", 0, u8(1)))],
    ["a long key", "gguf-count", key(entry("a".repeat(65_536), 0, u8(1)))],
    ["invalid UTF-8", "file-encoding", key(entry("a", 8, Buffer.concat([u64(1), u8(0xff)])))],
    ["an unknown value type", "gguf-value-type", key(entry("a", 13, u64(0)))],
    ["an unknown element type", "gguf-value-type", key(entry("a", 9, array(77, [])))],
    ["a string past the end", "gguf-truncated", key(entry("a", 8, u64(1000)))],
    ["a string of 2^64 - 1", "size-overflow", key(entry("a", 8, i64(-1n)))],
    ["an array past the end", "gguf-truncated", key(entry("a", 9, array(10, [], 1000)))],
    ["an array of 2^62", "size-overflow", key(entry("a", 9, array(0, [], 1n << 62n)))],
    ["an array of 2^40", "gguf-count", key(entry("a", 9, array(0, [], 1n << 40n)))],
    ["a nested array", "gguf-nested-array", key(entry("a", 9, array(9, [array(0, [])])))],
    ["a boolean of 2", "gguf-boolean", key(entry("a", 7, u8(2)))],
    ["alignment 0", "gguf-alignment", key(entry("general.alignment", 4, u32(0)))],
    ["alignment 48", "gguf-alignment", key(entry("general.alignment", 4, u32(48)))],
    ["alignment 2^31", "gguf-alignment", key(entry("general.alignment", 4, u32(2 ** 31)))],
    ["an alignment that is text", "gguf-key-type", key(entry("general.alignment", 8, string("32")))],
    ["a part of a split model", "gguf-split", key(entry("split.count", 2, Buffer.from([3, 0])))],
    ["no dimensions", "tensor-shape", one([])],
    ["five dimensions", "tensor-shape", one([1, 1, 1, 1, 1])],
    ["a zero dimension", "tensor-empty", one([0])],
    ["a dimension of 2^63", "size-overflow", one([1n << 63n])],
    ["a product of 2^64", "size-overflow", one([1n << 32n, 1n << 32n])],
    ["a size in bytes of 2^54", "size-overflow", one([1n << 52n])],
    ["a row that is not whole blocks", "tensor-row-block", one([33], 8)],
    ["blocks across rows", "tensor-row-block", one([16, 2], 8)],
    ["an unknown type", "tensor-type", one([32], 99)],
    ["a type that gsic does not read", "tensor-type", one([256], 11)],
    ["a removed type", "tensor-type", one([32], 4)],
    ["an offset of 2^63", "size-overflow", one([16], 0, 1n << 63n)],
    ["an offset near 2^53", "size-overflow", one([16], 0, (1n << 53n) - 32n)],
    ["an offset past the end", "tensor-layout", one([16], 0, 1 << 20)],
    ["a misaligned offset", "tensor-layout", one([8], 0, 16)],
    ["a hole", "tensor-layout", two(96)],
    ["an overlap", "tensor-layout", two(32)],
    ["truncated data", "gguf-truncated", one([16], 0, 0, 63)],
    ["trailing bytes", "gguf-trailing", one([16], 0, 0, 65)],
    [
      "a duplicate tensor",
      "gguf-duplicate-tensor",
      { tensors: [one([16]).tensors![0]!, one([16]).tensors![0]!] },
    ],
    [
      "a tensor named __proto__",
      "tensor-name",
      { tensors: [{ name: "__proto__", ne: [1], type: 0, offset: 0 }] },
    ],
    ["a tensor named with a NUL", "tensor-name", { tensors: [{ name: "a\0", ne: [1], type: 0, offset: 0 }] }],
  ];
  test.each(cases)("refuses %s: %s", async (name, code, content) => {
    const bytes = typeof content === "string" || content instanceof Uint8Array ? content : ggufBytes(content);
    expect(await codeOf(() => readGguf(folder.write("bad.gguf", bytes))), name).toBe(code);
  });

  test("names the types that it does not read", async () => {
    const future = folder.write("bad.gguf", ggufBytes(one([256], 10)));
    await expect(readGguf(future)).rejects.toThrow(/"a" is Q2_K/);
    const file = folder.write("bad.gguf", ggufBytes(one([32], 4)));
    await expect(readGguf(file)).rejects.toThrow(/"a" is Q4_2 \(removed from the format\)/);
  });

  test("honours the alignment, and a file that lacks the last padding", async () => {
    const alignment = entry("general.alignment", 4, u32(64));
    const pieces = two(64);
    for (const size of [128, 128]) {
      const bytes = ggufBytes({ ...pieces, entries: [alignment], alignment: 64, data: Buffer.alloc(size) });
      const { tensors } = await readGguf(folder.write("aligned.gguf", bytes));
      expect(tensors.get("b")!.offset % 64).toBe(0);
    }
    const unpadded = ggufBytes({
      tensors: [{ name: "a", ne: [3], type: 0, offset: 0 }],
      data: Buffer.alloc(12),
    });
    expect((await readGguf(folder.write("unpadded.gguf", unpadded))).tensors.size).toBe(1);
  });

  test("a file cut at any byte is refused", async () => {
    for (let size = 0; size < good.length; size++) {
      const code = await codeOf(() => readGguf(folder.write("cut.gguf", good.subarray(0, size))));
      expect(code, `${size} bytes`).toMatch(/^(file-empty|gguf-truncated)$/);
    }
  });

  test("changed bytes give a GsicError or a result that fits the file", async () => {
    const change = fc.tuple(fc.nat(good.length - 1), fc.integer({ min: 0, max: 255 }));
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
        const changed = Buffer.from(good);
        for (const [position, value] of changes) {
          changed[position] = value;
        }
        const file = folder.write("changed.gguf", changed);
        const code = await codeOf(async () => {
          for (const { offset, bytes } of (await readGguf(file)).tensors.values()) {
            expect(offset + bytes).toBeLessThanOrEqual(changed.length);
          }
        });
        expect(code).toMatch(/^(\(no error\)|[a-z0-9-]+)$/);
      }),
      { numRuns: 1500 },
    );
  });

  test("a header longer than the read window", async () => {
    const tokens = Array.from({ length: 200_000 }, (_, index) => string(`token ${index}`));
    const file = folder.write(
      "long.gguf",
      ggufBytes({ entries: [entry("tokens", 9, array(8, tokens)), ...entries] }),
    );
    const model = await readGguf(file);
    expect(metadataStrings(model, "tokens")?.at(-1)).toBe("token 199999");
    expect(metadataNumber(model, "a.f64")).toBe(0.1);
  });
});

describe("agrees with @huggingface/gguf", () => {
  const files = {
    built: folder.write("built.gguf", good),
    fixture: join(import.meta.dirname, "fixtures/gguf-types.gguf"),
  };
  test.each(Object.entries(files))("on the %s file", async (_, file) => {
    const ours = await readGguf(file);
    const theirs = await oracle(file, { allowLocalFile: true });
    const { version, tensor_count, kv_count, ...metadata } = theirs.metadata as Record<string, unknown>;
    expect([version, tensor_count, kv_count]).toEqual([
      ours.version,
      BigInt(ours.tensors.size),
      BigInt(ours.metadata.size),
    ]);
    const normal = (value: unknown): unknown =>
      Array.isArray(value) ? value.map(normal) : typeof value === "bigint" ? Number(value) : value;
    expect(Object.fromEntries([...ours.metadata].map(([name, value]) => [name, normal(value)]))).toEqual(
      Object.fromEntries(Object.entries(metadata).map(([name, value]) => [name, normal(value)])),
    );
    const directory = theirs.tensorInfos.map(({ name, shape, offset }) => [
      name,
      shape.map(Number).reverse(),
      Number(offset + theirs.tensorDataOffset),
    ]);
    const ourDirectory = [...ours.tensors.values()].map(({ name, shape, offset }) => [name, shape, offset]);
    expect(ourDirectory.sort()).toEqual(directory.sort());
  });
});
