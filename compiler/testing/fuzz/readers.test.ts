import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { encodeOnnxModel } from "../../read/onnx-schema.js";
import { packageRoot } from "../../support/paths.js";
import { entry, ggufBytes, piece, safetensorsBytes, temporaryFolder } from "../files.js";
import { Random } from "./random.js";
import { fuzz, fuzzers, outcomeOf } from "./readers.js";
import { runs } from "./settings.js";

const folder = temporaryFolder();
afterAll(folder.remove);

describe("hostile files are read, or refused as bad data", () => {
  test.each(["safetensors", "gguf", "onnx"] as const)("%s", { timeout: 0 }, async (kind) => {
    const total = { inputs: 0, opened: 0, refused: 0 };
    const codes = new Map<string, number>();
    for (const run of runs(kind === "onnx" ? 3000 : 10_000)) {
      const outcome = await fuzz(kind, run, folder.path, join(packageRoot, "build/fuzz"));
      for (const key of ["inputs", "opened", "refused"] as const) total[key] += outcome[key];
      for (const [code, count] of outcome.codes) codes.set(code, (codes.get(code) ?? 0) + count);
      if (run.last || run.shown)
        console.log(`fuzz ${kind}: seed ${run.seed}, ${JSON.stringify(total)}, ${codes.size} codes`);
    }
    // The mutations reach what they are for.
    expect(total.opened).toBeGreaterThan(total.inputs / 50);
    expect(codes.size).toBeGreaterThan(kind === "onnx" ? 6 : 12);
  });

  test("quantised checkpoints", { timeout: 0 }, async () => {
    const codes = new Set<string>();
    const total = { inputs: 0, opened: 0 };
    for (const run of runs(1000)) {
      const outcome = await fuzz("quantised", run, folder.path, join(packageRoot, "build/fuzz"));
      total.inputs += outcome.inputs;
      total.opened += outcome.opened;
      for (const code of outcome.codes.keys()) codes.add(code);
      if (run.last || run.shown)
        console.log(`fuzz quantised: seed ${run.seed}, ${JSON.stringify(total)}, ${codes.size} codes`);
    }
    expect(total.opened).toBeGreaterThan(total.inputs / 10);
    expect([...codes]).toEqual(
      expect.arrayContaining(["quantization-unsupported", "quantized-tensor", "quantization-undeclared"]),
    );
  });

  const f32 = { dtype: "F32", shape: [1], data_offsets: [0, 4] };
  const tensors = [{ name: "a", ne: [16], type: 0, offset: 0 }];
  const small = {
    safetensors: safetensorsBytes({ __metadata__: { format: "pt" }, a: f32 }, new Uint8Array(4)),
    gguf: ggufBytes({ entries: [entry("k", 8, piece.string("v"))], tensors, data: new Uint8Array(64) }),
    onnx: encodeOnnxModel({
      graph: {
        initializer: [{ name: "a", dims: [2], dataType: 1, rawData: new Uint8Array(8) }],
        output: [{ name: "y" }],
      },
    }),
  };

  // Neither format has a checksum: a bit of a name makes another name. What holds is that nothing is read elsewhere.
  test.each(["safetensors", "gguf", "onnx"] as const)(
    "%s: a small file cut anywhere, or with any bit flipped",
    async (kind) => {
      const good = small[kind];
      const file = join(folder.path, `small.${kind}`);
      const { read } = fuzzers[kind];
      expect(await outcomeOf(good, file, read)).toBeNull();
      for (let size = 0; size < good.length; size++)
        expect(await outcomeOf(good.subarray(0, size), file, read), `cut at ${size}`).not.toBeNull();
      for (let bit = 0; bit < 8 * good.length; bit++) {
        const changed = Uint8Array.from(good);
        changed[bit >> 3]! ^= 1 << (bit & 7);
        await outcomeOf(changed, file, read);
      }
    },
  );

  test("an input depends on its seed and index alone", () => {
    for (const { make } of Object.values(fuzzers)) {
      expect(make(new Random(1, 7))).toEqual(make(new Random(1, 7)));
      expect(make(new Random(1, 7))).not.toEqual(make(new Random(2, 7)));
    }
  });
});
