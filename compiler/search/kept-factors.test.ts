import { existsSync } from "node:fs";
import { expect, test } from "vitest";
import type { QuantizedSource } from "../ir/steps.js";
import { type FactorSource, noFactors } from "../pack/weights.js";
import { KeptFactors } from "./kept-factors.js";

const quantizer = { bits: 4, group: 32, symmetric: true } as const;

function sourceOf(linear: string, rank: number): QuantizedSource {
  const recipe = { input: "x", linears: [linear], quantizers: [quantizer], rank, projections: 0 };
  return { kind: "quantized", linear, out: 3, d: 2, quantizer, rank, recipe };
}

test("each is made once, whoever asks, and the same bytes come again, until it is closed", async () => {
  const asked: string[] = [];
  const factors: FactorSource = {
    ...noFactors,
    quantized: async ({ recipe, rank }) => {
      asked.push(recipe.linears[0]!);
      return {
        matrix: {
          q: Uint8Array.from([1, 2, asked.length]),
          scales: Int8Array.from([-3]),
          zeros: null,
          rowScales: Float32Array.from([0.1]),
        },
        lowRank: rank === 0 ? null : { a: Int8Array.from([4]), scales: Float32Array.from([2]) },
      };
    },
  };
  const kept = await KeptFactors.open();
  const [a, b] = [sourceOf("a", 0), sourceOf("a", 4)];
  const [one, other] = [kept.of(factors), kept.of({ ...factors })];
  const first = [await one.quantized(a), await one.quantized(b)];
  expect([await other.quantized(a), await other.quantized(b)]).toEqual(first);
  expect(first[0]!.matrix.q).not.toEqual(first[1]!.matrix.q);
  expect(asked).toEqual(["a", "a"]);
  const { folder } = kept;
  expect(existsSync(folder)).toBe(true);
  await kept.close();
  expect(existsSync(folder)).toBe(false);
});
