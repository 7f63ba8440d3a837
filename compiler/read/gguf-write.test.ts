import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { GGMLQuantizationType, gguf } from "@huggingface/gguf";
import { expect, test } from "vitest";
import { fixtureNames, fixtureSource, temporaryFolder } from "../testing/fixtures.js";
import { readGguf } from "./gguf.js";
import { encodeField, type GgufField, readGgufEntries, writeGguf } from "./gguf-write.js";

const fields: Readonly<Record<string, GgufField>> = {
  "general.architecture": { type: "string", value: "llama" },
  "a.u32": { type: "u32", value: 4_000_000_000 },
  "a.i32": { type: "i32", value: -5 },
  "a.f32": { type: "f32", value: 0.5 },
  "a.bool": { type: "bool", value: true },
  "a.text": { type: "string", value: "Grüße, \u{1f600}" },
  "a.texts": { type: "strings", value: ["", "one", "zwei"] },
  "a.integers": { type: "i32s", value: [-1, 0, 2 ** 31 - 1] },
  "a.numbers": { type: "f32s", value: [0.25, -1.5] },
};

test("what is written is read again, by gsic and by another reader", async () => {
  const file = join(await temporaryFolder(), "model.gguf");
  const data = Uint8Array.from({ length: 34 * 3 }, (_, i) => i);
  await writeGguf(file, new Map(Object.entries(fields).map(([key, field]) => [key, encodeField(field)])), [
    { name: "odd", type: "f32", shape: [3], data: () => [new Uint8Array(12)] },
    { name: "matrix", type: "q8_0", shape: [3, 32], data: () => [data.slice(0, 40), data.slice(40)] },
  ]);
  const { metadata, tensors } = await readGguf(file);
  expect(Object.fromEntries(metadata)).toEqual(
    Object.fromEntries(Object.entries(fields).map(([key, { value }]) => [key, value])),
  );
  const matrix = tensors.get("matrix")!;
  expect(matrix).toMatchObject({ dtype: "q8_0", shape: [3, 32], bytes: data.length });
  expect(readFileSync(file).subarray(matrix.offset, matrix.offset + matrix.bytes)).toEqual(Buffer.from(data));

  const other = await gguf(file, { allowLocalFile: true });
  expect(other.metadata).toMatchObject({ "a.text": "Grüße, \u{1f600}", "a.u32": 4_000_000_000 });
  expect(other.tensorInfos.map(({ name, dtype, shape }) => [name, dtype, shape.map(Number)])).toEqual([
    ["odd", GGMLQuantizationType.F32, [3]],
    ["matrix", GGMLQuantizationType.Q8_0, [32, 3]],
  ]);
});

test("metadata of a file goes over as it is stored", async () => {
  const source = fixtureSource(fixtureNames().find((name) => name === "llama-gguf")!);
  const file = join(await temporaryFolder(), "copy.gguf");
  const entries = readGgufEntries(source);
  await writeGguf(file, entries, []);
  expect(readGgufEntries(file)).toEqual(entries);
  expect((await readGguf(file)).metadata).toEqual((await readGguf(source)).metadata);
});

test("data that does not fit leaves the old file", async () => {
  const file = join(await temporaryFolder(), "model.gguf");
  writeFileSync(file, "old");
  const short = { name: "a", type: "f32", shape: [4], data: () => [new Uint8Array(12)] } as const;
  await expect(writeGguf(file, new Map(), [short])).rejects.toMatchObject({ code: "gguf-misuse" });
  expect(readFileSync(file, "utf8")).toBe("old");
});
