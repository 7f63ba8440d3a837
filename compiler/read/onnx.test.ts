import { existsSync, symlinkSync } from "node:fs";
import { afterAll, describe, expect, test } from "vitest";
import { temporaryFolder } from "../testing/files.js";
import { readOnnx } from "./onnx.js";
import { encodeOnnxModel } from "./onnx-schema.js";
import { tensorNumbers } from "./onnx-tensor.js";
import { Weights } from "./weights.js";

const folder = temporaryFolder();
afterAll(folder.remove);

const output = [{ name: "y" }];
const four = new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer);
const matrix = { name: "a", dims: [2, 2], dataType: 1, rawData: four };

function written(graph: object, name = "model.onnx"): string {
  return folder.write(name, encodeOnnxModel({ irVersion: 8, graph: { output, ...graph } }));
}

function external(entries: Readonly<Record<string, string>>, dims = [2, 2]): string {
  const externalData = Object.entries(entries).map(([key, value]) => ({ key, value }));
  return written({ initializer: [{ name: "a", dims, dataType: 1, dataLocation: 1, externalData }] });
}

test("a graph: nodes, attributes, ports and tensors, whose elements stay in the file", async () => {
  const ids = { tensorType: { elemType: 7, shape: { dim: [{ dimValue: 1 }, { dimParam: "length" }] } } };
  const attribute = [
    { name: "axis", type: 2, i: -1 },
    { name: "perm", type: 7, ints: [1, 0] },
    { name: "mode", type: 3, s: Buffer.from("tanh") },
    { name: "value", type: 4, t: { dims: [2], dataType: 7, int64Data: [5, -6] } },
    { name: "then_branch", type: 5 },
  ];
  const file = written({
    node: [{ name: "n", opType: "Op", domain: "com.microsoft", input: ["a", ""], output: ["y"], attribute }],
    initializer: [
      matrix,
      { name: "b", dims: [3], dataType: 1, floatData: [1, 2, 3] },
      { name: "c", dims: [2], dataType: 10, int32Data: [0x3c00, 0xc000] },
      { name: "d", dims: [], dataType: 16, int32Data: [0x3f80] },
      { name: "e", dims: [0], dataType: 7 },
      { name: "f", dims: [2], dataType: 9, rawData: Uint8Array.of(1, 0) },
      { name: "g", dims: [1], dataType: 22, rawData: Uint8Array.of(1) },
    ],
    input: [{ name: "input_ids", type: ids }],
  });
  const { nodes, initializers, inputs } = readOnnx(file);
  expect(inputs).toEqual([{ name: "input_ids", typeNumber: 7, shape: [1, "length"] }]);
  expect(nodes).toMatchObject([{ name: "n", opType: "Op", domain: "com.microsoft", inputs: ["a", ""] }]);
  const { attributes } = nodes[0]!;
  expect([...attributes.keys()].map((key) => attributes.get(key)).slice(0, 3)).toEqual([-1, [1, 0], "tanh"]);
  expect([...tensorNumbers(attributes.get("value") as never)]).toEqual([5, -6]);
  expect(attributes.get("then_branch")).toBe("graph");
  const numbers = (name: string) => [...tensorNumbers(initializers.get(name)!)];
  expect(["a", "b", "c", "d", "e", "f"].map(numbers)).toEqual([
    [1, 2, 3, 4],
    [1, 2, 3],
    [1, -2],
    [1],
    [],
    [1, 0],
  ]);
  expect(() => numbers("g")).toThrow(/of a type that gsic does not read \(number 22\)/);
  expect(initializers.get("a")!.data).toMatchObject({ file, bytes: 16 });
  const weights = await Weights.open(file);
  expect(weights.names()).toEqual(["a", "b"]);
  const view = { tensor: "a", dtype: "f32", out: 2, d: 2, transposed: true, first: 0 } as const;
  expect([...weights.readRows(view, 0, 2)]).toEqual([1, 3, 2, 4]);
  weights.close();
});

test("external data lies in the model's folder", () => {
  folder.write("data.bin", Buffer.concat([Buffer.alloc(8), four]));
  const file = external({ location: "data.bin", offset: "8", length: "16" });
  expect([...tensorNumbers(readOnnx(file).initializers.get("a")!)]).toEqual([1, 2, 3, 4]);
});

describe("bad files are refused with their place", () => {
  test.each<[string, string, Readonly<Record<string, string>>]>([
    ["leads out of the folder", "is not in the model's folder", { location: "../data.bin" }],
    ["is a link that leads out", "a link that leads out of the model's folder", { location: "link.bin" }],
    ["has an absolute place", "is not in the model's folder", { location: "/etc/hostname" }],
    ["has no place", "is not in the model's folder", {}],
    ["is missing", "which is missing", { location: "none.bin" }],
    [
      "is too short",
      'its data ends at byte 40 of "short.bin", which has 24',
      { location: "short.bin", offset: "24" },
    ],
    [
      "is of another length",
      "takes 16 bytes, and its external data has 8",
      { location: "short.bin", length: "8" },
    ],
    [
      "has a negative offset",
      'offset of external data is "-8", not a whole number',
      { location: "short.bin", offset: "-8" },
    ],
    [
      "has an absurd offset",
      "2\\^53 or more|not a whole number",
      { location: "short.bin", offset: "99999999999999999" },
    ],
  ])("external data that %s", (_, message, entries) => {
    folder.write("short.bin", new Uint8Array(24));
    if (!existsSync(`${folder.path}/link.bin`)) symlinkSync("/etc/hostname", `${folder.path}/link.bin`);
    const file = external(entries);
    expect(() => readOnnx(file)).toThrow(
      expect.objectContaining({ category: "data", message: expect.stringMatching(message) }),
    );
  });

  test.each<[string, string, object]>([
    ["elements that its shape does not have", "onnx-tensor", { ...matrix, dims: [2, 3] }],
    [
      "numbers that its shape does not have",
      "onnx-tensor",
      { name: "a", dims: [3], dataType: 7, int64Data: [1] },
    ],
    ["an absurd shape", "size-overflow", { ...matrix, dims: [2 ** 31, 2 ** 31] }],
    ["a large shape and no elements", "onnx-tensor", { name: "a", dims: [2 ** 40], dataType: 1 }],
    ["a negative size", "size-invalid", { ...matrix, dims: [-2, 2] }],
    ["no name", "onnx-malformed", { ...matrix, name: "" }],
  ])("a tensor with %s", (_, code, tensor) => {
    const file = written({ initializer: [tensor] });
    const place = expect.stringContaining(file);
    expect(() => readOnnx(file)).toThrow(
      expect.objectContaining({ code, where: place, hint: expect.any(String) }),
    );
  });

  test.each<[string, string, Uint8Array | string]>([
    ["an empty file", "file-empty", ""],
    ["a file of another kind", "onnx-malformed", "PK\x03\x04 and more"],
    ["a Git LFS pointer", "file-lfs-pointer", "version https://git-lfs.github.com/spec/v1\n"],
    ["a model without a graph", "onnx-malformed", encodeOnnxModel({ irVersion: 8 })],
    ["a graph without outputs", "onnx-malformed", encodeOnnxModel({ graph: { node: [] } })],
    [
      "a file that ends early",
      "onnx-truncated",
      encodeOnnxModel({ graph: { output, initializer: [matrix] } }).slice(0, -3),
    ],
    [
      "a tensor that stands twice",
      "onnx-malformed",
      encodeOnnxModel({ graph: { output, initializer: [matrix, matrix] } }),
    ],
  ])("%s", (_, code, content) => {
    const file = folder.write("bad.onnx", content);
    expect(() => readOnnx(file)).toThrow(expect.objectContaining({ code, category: "data" }));
  });
});
