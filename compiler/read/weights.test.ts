import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import type { MatrixRef } from "../ir/graph.js";
import { codeOf, ggufBytes, safetensorsBytes, temporaryFolder } from "../testing/files.js";
import { dequantize, toF16 } from "./dequantize.js";
import { readTensors, writeSafetensors } from "./safetensors-write.js";
import { Weights } from "./weights.js";
import { auditWeights } from "./weights-audit.js";

const folder = temporaryFolder();
afterAll(folder.remove);

const fixtures = join(import.meta.dirname, "../models/fixtures");
const matrix = (tensor: string, parts: Partial<MatrixRef>): MatrixRef => ({
  tensor,
  dtype: "f32",
  out: 1,
  d: 1,
  transposed: false,
  first: 0,
  ...parts,
});

/** A folder with config.json and model.safetensors of the given f32 matrices. */
async function model(tensors: Record<string, { shape: number[]; data: Float32Array }>, config = "{}") {
  const home = temporaryFolder();
  home.write("config.json", config);
  const list = Object.entries(tensors).map(([name, tensor]) => ({ name, dtype: "F32" as const, ...tensor }));
  await writeSafetensors(join(home.path, "model.safetensors"), list);
  return home;
}

const counting = (count: number) => Float32Array.from({ length: count }, (_, index) => index);

describe("Weights on a folder", () => {
  test("opens a fixture, lists and requires tensors", async () => {
    const weights = await Weights.open(join(fixtures, "gpt2-f32"));
    expect(weights.kind).toBe("safetensors");
    expect(weights.config).toMatchObject({ model_type: "gpt2" });
    expect(weights.metadata).toBeUndefined();
    expect(weights.names()).toEqual([...weights.names()].sort());
    expect(weights.info("none")).toBeUndefined();
    expect(await codeOf(() => weights.require("none"))).toBe("tensor-missing");
    weights.close();
  });

  test("a matrix view gives the same rows in any pieces, straight and transposed", async () => {
    const home = await model({ m: { shape: [70, 45], data: counting(70 * 45) } });
    const weights = await Weights.open(home.path);
    const straight = matrix("m", { out: 50, d: 45, first: 10 });
    expect(weights.readRows(straight, 3, 2)).toEqual(counting(70 * 45).slice(13 * 45, 15 * 45));
    const transposed = matrix("m", { out: 30, d: 70, first: 5, transposed: true });
    const expected = Float32Array.from(
      { length: 30 * 70 },
      (_, at) => (at % 70) * 45 + 5 + Math.floor(at / 70),
    );
    expect(weights.readRows(transposed, 0, 30)).toEqual(expected);
    expect(weights.readRows(transposed, 7, 2)).toEqual(expected.slice(7 * 70, 9 * 70));
    expect(weights.readStoredRows(transposed, 7, 2)).toEqual(
      new Uint8Array(expected.slice(7 * 70, 9 * 70).buffer),
    );
    expect(weights.readRows(transposed, 30, 0)).toEqual(new Float32Array(0));
    expect(await codeOf(() => weights.readRows(transposed, 29, 2))).toBe("weights-misuse");
    expect(await codeOf(() => weights.readRows(matrix("m", { out: 61, d: 45, first: 10 }), 0, 1))).toBe(
      "tensor-shape",
    );
    expect(await codeOf(() => weights.readRows(matrix("m", { out: 70, d: 44 }), 0, 1))).toBe("tensor-shape");
    expect(await codeOf(() => weights.readRows(matrix("m", { out: 70, d: 45, dtype: "f16" }), 0, 1))).toBe(
      "tensor-shape",
    );
    weights.close();
    expect(await codeOf(() => weights.readRows(straight, 0, 1))).toBe("weights-misuse");
    home.remove();
  });

  test("transposes tensors of two bytes, and keeps apart two that are asked for in turn", async () => {
    const home = temporaryFolder();
    home.write("config.json", "{}");
    const bits = toF16(counting(6));
    await writeSafetensors(join(home.path, "model.safetensors"), [
      { name: "a", dtype: "F16", shape: [2, 3], data: bits },
      { name: "b", dtype: "F16", shape: [3, 2], data: bits },
    ]);
    const weights = await Weights.open(home.path);
    for (let round = 0; round < 2; round++) {
      const a = matrix("a", { dtype: "f16", out: 3, d: 2, transposed: true });
      const b = matrix("b", { dtype: "f16", out: 2, d: 3, transposed: true });
      expect(weights.readRows(a, 0, 3)).toEqual(Float32Array.of(0, 3, 1, 4, 2, 5));
      expect(weights.readRows(b, 0, 2)).toEqual(Float32Array.of(0, 2, 4, 1, 3, 5));
    }
    weights.close();
    home.remove();
  });

  test("reads vectors, also from the middle of a tensor", async () => {
    const home = await model({ v: { shape: [10], data: counting(10) } });
    const weights = await Weights.open(home.path);
    expect(weights.readVector({ tensor: "v", first: 4, length: 3 })).toEqual(Float32Array.of(4, 5, 6));
    expect(weights.readVector({ tensor: "v", first: 0, length: 10 })).toEqual(counting(10));
    expect(await codeOf(() => weights.readVector({ tensor: "v", first: 8, length: 3 }))).toBe("tensor-shape");
    expect(await codeOf(() => weights.readBytes("v", 0, 41))).toBe("weights-misuse");
    weights.close();
    home.remove();
  });

  test("notices a file that shrinks while it is open", async () => {
    const home = await model({ v: { shape: [10], data: counting(10) } });
    const weights = await Weights.open(home.path);
    const file = join(home.path, "model.safetensors");
    writeFileSync(file, readFileSync(file).subarray(0, -8));
    expect(await codeOf(() => weights.readVector({ tensor: "v", first: 0, length: 10 }))).toBe(
      "file-changed",
    );
    weights.close();
    home.remove();
  });

  test("refuses what is no model", async () => {
    const home = await model({ v: { shape: [1], data: counting(1) } });
    const open = (path: string) => codeOf(() => Weights.open(path));
    expect(await open(join(home.path, "none"))).toBe("file-missing");
    expect(await open(join(home.path, "model.safetensors"))).toBe("source-kind");
    expect(await open(join(home.path, "config.json"))).toBe("gguf-magic");
    for (const [text, code] of [
      ['{"a":1,"a":2}', "json-duplicate-key"],
      ["[]", "config-type"],
      ["{", "json-syntax"],
      ["<html>", "file-html"],
    ] as const) {
      home.write("config.json", text);
      expect(await open(home.path), text).toBe(code);
    }
    rmSync(join(home.path, "config.json"));
    expect(await open(home.path)).toBe("config-missing");
    home.remove();
  });
});

describe("Weights on a GGUF file", () => {
  test("reads rows of every type as the fixture says", async () => {
    const weights = await Weights.open(join(import.meta.dirname, "fixtures/gguf-types.gguf"));
    expect(weights.kind).toBe("gguf");
    expect(weights.metadata?.get("general.architecture")).toBe("llama");
    const { tensors } = await readTensors(join(import.meta.dirname, "fixtures/gguf-types.safetensors"));
    for (const [name, { shape, data }] of tensors) {
      if (name === "q5_k") {
        continue;
      }
      const [rows, d] = shape as [number, number];
      const view = matrix(name, { dtype: weights.require(name).dtype, out: rows - 1, d, first: 1 });
      expect(weights.readRows(view, 1, rows - 2), name).toEqual((data as Float32Array).slice(2 * d));
      const stored = weights.readStoredRows(view, 0, 1);
      expect(dequantize(view.dtype, stored, d), name).toEqual((data as Float32Array).slice(d, 2 * d));
      const vector = { tensor: name, first: d + 7, length: 40 };
      expect(weights.readVector(vector), name).toEqual((data as Float32Array).slice(d + 7, d + 47));
    }
    const blocks = matrix("q8_0", { dtype: "q8_0", out: 96, d: 5, transposed: true });
    expect(await codeOf(() => weights.readRows(blocks, 0, 1))).toBe("tensor-shape");
    weights.close();
  });
});

describe("fingerprint", () => {
  const fingerprint = async (path: string) => {
    const weights = await Weights.open(path);
    const value = weights.fingerprint();
    weights.close();
    return value;
  };

  test("depends on the content, not on the place or the shards", async () => {
    const copy = join(folder.path, "copy");
    cpSync(join(fixtures, "gpt2-f32"), copy, { recursive: true });
    const value = await fingerprint(join(fixtures, "gpt2-f32"));
    expect(value).toMatch(/^[0-9a-f]{64}$/);
    expect(await fingerprint(copy)).toBe(value);
    const file = join(copy, "model.safetensors");
    const bytes = readFileSync(file);
    bytes[bytes.length - 1]! ^= 1;
    writeFileSync(file, bytes);
    expect(await fingerprint(copy)).not.toBe(value);
  });

  test("depends on the configuration, names and shapes", async () => {
    const data = counting(6);
    const values = new Set<string>();
    for (const [name, shape, config] of [
      ["a", [2, 3], "{}"],
      ["b", [2, 3], "{}"],
      ["a", [3, 2], "{}"],
      ["a", [2, 3], '{"n":1}'],
    ] as const) {
      const home = await model({ [name]: { shape: [...shape], data } }, config);
      values.add(await fingerprint(home.path));
      home.remove();
    }
    expect(values.size).toBe(4);
  });
});

describe("auditWeights", () => {
  test("names tensors that are not finite, and matrices that are constant", async () => {
    const nan = Float32Array.of(1, 2, Number.NaN, 4);
    const bad = await model({
      good: { shape: [2, 2], data: counting(4) },
      bad: { shape: [2, 2], data: nan },
    });
    const weights = await Weights.open(bad.path);
    await expect(async () => auditWeights(weights)).rejects.toThrow(/"bad" at element 2: NaN/);
    weights.close();
    bad.remove();

    const constant = await model({
      ones: { shape: [2, 2], data: new Float32Array(4).fill(1) },
      gain: { shape: [4], data: new Float32Array(4).fill(1) },
      fine: { shape: [2, 2], data: counting(4) },
    });
    const others = await Weights.open(constant.path);
    expect(auditWeights(others)).toEqual(["ones"]);
    others.close();
    constant.remove();
  });

  test("looks at every element of a long tensor, in every type", async () => {
    const types = [
      {
        dtype: "F32",
        bytes: 4,
        wrong: [0x7f800000, 0xff800000, 0x7fc00001],
        right: [0x7f7fffff, 0xff7fffff, 1],
      },
      { dtype: "F16", bytes: 2, wrong: [0x7c00, 0xfc00, 0x7e01], right: [0x7bff, 0xfbff, 0x83ff] },
      { dtype: "BF16", bytes: 2, wrong: [0x7f80, 0xff80, 0x7fc1], right: [0x7f7f, 0xff7f, 0x807f] },
    ];
    const rows = 4099;
    for (const { dtype, bytes, wrong, right } of types) {
      for (const place of [0, 4095, 4096, 4097, 5000, 3 * rows - 2, 3 * rows - 1]) {
        for (const [index, word] of [...wrong, ...right].entries()) {
          const data = Buffer.alloc(3 * rows * bytes, 0x11);
          data.writeUIntLE(word, place * bytes, bytes);
          const header = { long: { dtype, shape: [rows, 3], data_offsets: [0, data.length] } };
          const home = temporaryFolder();
          home.write("config.json", "{}");
          home.write("model.safetensors", safetensorsBytes(header, data));
          const weights = await Weights.open(home.path);
          const audit = () => auditWeights(weights);
          if (index < wrong.length) expect(audit).toThrow(`"long" at element ${place}: `);
          else expect(audit()).toEqual([]);
          weights.close();
          home.remove();
        }
      }
    }
  });

  test("finds an infinite scale of a block", async () => {
    const data = Buffer.alloc(34);
    data.writeUInt16LE(0x7c00, 0);
    data[2] = 1;
    const bytes = ggufBytes({ tensors: [{ name: "a", ne: [32], type: 8, offset: 0 }], data });
    const weights = await Weights.open(folder.write("inf.gguf", bytes));
    expect(await codeOf(() => auditWeights(weights))).toBe("weights-not-finite");
    weights.close();
  });
});
