import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { Algebra } from "../../compiler/calibrate/algebra.js";
import { openStats } from "../../compiler/calibrate/stats-file.js";
import { readTensors } from "../../compiler/read/safetensors.js";
import { openFixture, temporaryFolder } from "../../compiler/testing/fixtures.js";
import { cascade, meanCosine, orthonormalize } from "./cascade.js";
import { sharedInputs, shareStatistics } from "./shared-basis.js";

/** Statistics of one input, as a file holds them. */
interface Held {
  readonly name: string;
  readonly d: number;
  readonly moment: "second_moment" | "sketch.product";
  readonly matrix: readonly number[];
  readonly mean: readonly number[];
  readonly meanSquaredNorm: number;
}

/** Writes a file of statistics of 100 tokens, whose F64 the compiler itself never writes. */
function writeStats(file: string, inputs: readonly Held[]): void {
  const header: Record<string, unknown> = {};
  const parts: Buffer[] = [];
  let end = 0;
  const add = (name: string, dtype: string, shape: number[], data: ArrayBufferView) => {
    header[name] = { dtype, shape, data_offsets: [end, end + data.byteLength] };
    end += data.byteLength;
    parts.push(Buffer.from(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength));
  };
  for (const { name, d, moment, matrix, mean, meanSquaredNorm } of inputs) {
    add(`${name}.count`, "I64", [1], BigInt64Array.of(100n));
    add(`${name}.mean_squared_norm`, "F64", [1], Float64Array.of(meanSquaredNorm));
    if (moment === "sketch.product") add(`${name}.sketch.seed`, "I64", [1], BigInt64Array.of(7n));
    add(`${name}.mean`, "F32", [d], Float32Array.from(mean));
    add(`${name}.${moment}`, "F32", [d, matrix.length / d], Float32Array.from(matrix));
  }
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  writeFileSync(file, Buffer.concat([length, text, ...parts]));
}

describe("one basis per layer", () => {
  test.each([
    ["gpt2-f32", ["layer0_attention_norm", "layer0_attention", "layer0_mlp_norm"]],
    ["llama-head-dim", ["layer0_attention_norm", "layer0_mlp_norm"]],
    ["gptj-f32", ["layer0_norm", "layer0_attention"]],
  ])("%s: inputs of the hidden size", async (name, expected) => {
    const { model } = await openFixture(name);
    expect(sharedInputs(model.graph)[0]).toEqual({ layer: 0, inputs: expected });
  });

  test.each(["second_moment", "sketch.product"])(
    "inputs that share it hold the mean of their moments, others what they held: %s",
    async (moment) => {
      const folder = await temporaryFolder();
      const [file, shared] = [join(folder, "stats"), join(folder, "shared")];
      const seeded = moment === "sketch.product";
      const input = (name: string, scale: number) => ({
        name,
        d: 3,
        moment: moment as "second_moment" | "sketch.product",
        matrix: seeded
          ? [3, 1, -2, 1, 0, 5].map((x) => scale * x)
          : [2, 1, 0, 1, 3, 0, 0, 0, 4].map((x) => scale * x),
        mean: [scale, 2 * scale, 0],
        meanSquaredNorm: 9 * scale,
      });
      const names = ["layer0_attention_norm", "layer0_attention", "layer0_mlp_norm", "layer0_activation"];
      writeStats(
        file,
        names.map((name, index) => input(name, 10 ** index)),
      );
      shareStatistics(file, [{ layer: 0, inputs: names.slice(0, 3) }], shared);
      const [before, after] = [(await readTensors(file)).tensors, (await readTensors(shared)).tensors];
      const values = (tensors: typeof before, name: string) => Array.from(tensors.get(name)!.data, Number);
      for (const what of [moment, "mean", "mean_squared_norm"]) {
        const one = values(before, `layer0_attention_norm.${what}`);
        for (const name of names.slice(0, 3)) {
          expect(values(after, `${name}.${what}`)).toEqual(one.map((value) => 37 * value));
        }
        const own = `layer0_activation.${what}`;
        expect(values(after, own)).toEqual(values(before, own));
      }
      for (const name of names) expect(values(after, `${name}.count`)).toEqual([100]);
      // It is a file that gsic reads: moments still belong together.
      const stats = await openStats(shared, "");
      for (const name of names)
        expect(stats.read(name, 3).secondMoment.kind).toBe(seeded ? "sketch" : "exact");
    },
  );
});

describe("cascade", () => {
  const algebra = new Algebra();
  afterAll(() => algebra.close());

  test("DGKS makes nearly dependent rows orthonormal, within their span", () => {
    const d = 40;
    const rows = Float32Array.from({ length: 8 * d }, (_, i) => 1 + 1e-3 * Math.sin(i * i));
    const basis = orthonormalize(rows, d);
    const dot = (a: Float32Array, i: number, b: Float32Array, j: number) =>
      a.subarray(i * d, i * d + d).reduce((sum, value, at) => sum + value * b[j * d + at]!, 0);
    for (let i = 0; i < 8; i++) {
      for (let j = 0; j < 8; j++) expect(dot(basis, i, basis, j)).toBeCloseTo(i === j ? 1 : 0, 6);
      let inside = 0;
      for (let j = 0; j < 8; j++) inside += dot(rows, i, basis, j) ** 2;
      expect(inside / dot(rows, i, rows, i)).toBeCloseTo(1, 6);
    }
  });

  test("the cosine of planted angles", async () => {
    const [d, k] = [6, 3];
    const angles = [0, 0.3, 1.2];
    const [a, b] = [new Float32Array(k * d), new Float32Array(k * d)];
    angles.forEach((angle, row) => {
      a[row * d + row] = 1;
      b[row * d + row] = Math.cos(angle);
      b[row * d + k + row] = Math.sin(angle);
    });
    const expected = angles.reduce((sum, angle) => sum + Math.cos(angle), 0) / k;
    expect(await meanCosine(a, b, k, d, algebra)).toBeCloseTo(expected, 5);
  });

  test("steps lead from the basis of the layer before to the best one, whose cosine and energy are planted", async () => {
    const [d, k, angle] = [24, 6, 0.7];
    // Energy 2^-i in directions that turn with every layer: direction i, i < k, within the plane of channels i and i + k.
    const spectrum = Array.from({ length: d }, (_, i) => 2 ** -i);
    const total = spectrum.reduce((sum, value) => sum + value, 0);
    const turned = (layer: number) => {
      const [c, s] = [Math.cos(layer * angle), Math.sin(layer * angle)];
      const matrix = new Array<number>(d * d).fill(0);
      for (let i = 0; i < d; i++) {
        if (i >= 2 * k) matrix[i * d + i] = spectrum[i]!;
        if (i >= k) continue;
        const [high, low, other] = [spectrum[i]!, spectrum[i + k]!, i + k];
        matrix[i * d + i] = high * c * c + low * s * s;
        matrix[other * d + other] = high * s * s + low * c * c;
        matrix[i * d + other] = matrix[other * d + i] = (high - low) * c * s;
      }
      return matrix;
    };
    const file = join(await temporaryFolder(), "stats");
    const layers = [0, 1, 2].map((layer) => ({ layer, inputs: [`layer${layer}_norm`] }));
    writeStats(
      file,
      layers.map(({ layer, inputs }) => ({
        name: inputs[0]!,
        d,
        moment: "second_moment",
        matrix: turned(layer),
        mean: new Array<number>(d).fill(0),
        meanSquaredNorm: total,
      })),
    );
    const [first, ...others] = await cascade(await openStats(file, ""), layers, { d, k, steps: 6 }, algebra);
    expect(first).toMatchObject({ cosine: null, outside_cascade: [] });
    const tail = spectrum.slice(k).reduce((sum, value) => sum + value, 0) / total;
    expect(others).toHaveLength(2);
    for (const { cosine, outside_exact, outside_cascade } of others) {
      expect(cosine).toBeCloseTo(Math.cos(angle), 4);
      expect(outside_exact).toBeCloseTo(tail, 5);
      // As it is, a former direction holds cos^2 of its successor's energy and sin^2 of what lies across.
      const kept = spectrum
        .slice(0, k)
        .reduce(
          (sum, high, i) => sum + high * Math.cos(angle) ** 2 + spectrum[i + k]! * Math.sin(angle) ** 2,
          0,
        );
      expect(outside_cascade[0]).toBeCloseTo(1 - kept / total, 3);
      for (let step = 1; step <= 6; step++) {
        expect(outside_cascade[step]!).toBeLessThanOrEqual(outside_cascade[step - 1]! + 1e-6);
      }
      expect(outside_cascade[6]).toBeCloseTo(tail, 5);
    }
  });
});
