import { expect, test } from "vitest";
import type { DType } from "../ir/graph.js";
import { codeOf } from "../testing/files.js";
import {
  type FileMatrix,
  leastBytes,
  leastBytesOf,
  leastLoss,
  matrixBytesWithin,
  offeredTypes,
  type TypeDecision,
  type TypeOption,
  typeOptions,
} from "./type-options.js";

function matrix(name: string, d: number, dtype: DType = "bf16", out = 64): FileMatrix {
  const part = { tensor: name, dtype, out, d, transposed: false, first: 0 };
  return { name, parts: [part], linears: [name] };
}

test("rows get the types whose blocks they are whole blocks of, and only smaller ones than they are stored in", () => {
  expect(offeredTypes(512)).toContain("q6_k");
  expect(offeredTypes(576)).toEqual(["q4_0", "iq4_nl", "q4_1", "q5_0", "q5_1", "q8_0"]);
  expect(offeredTypes(100)).toEqual([]);
  const names = (dtype: DType, d = 512) =>
    typeOptions(matrix("m", d, dtype), () => 1).map(({ type }) => type);
  expect(names("f32")).toEqual(expect.arrayContaining([null, "f16", "q8_0", "q4_k"]));
  expect(names("bf16")).not.toContain("f16");
  expect(names("q5_0", 512)).toEqual([null, "q4_0", "iq4_nl", "q4_k", "q4_1"]);
  expect(names("f32", 100)).toEqual([null, "f16"]);
  const [stored] = typeOptions(matrix("m", 512), () => 1);
  expect(stored).toEqual({ type: null, bytes: 64 * 512 * 2, loss: 0 });
});

/** Matrices of different widths, each of which loses more the fewer bytes a type has, by a factor of its own. */
const decisions: TypeDecision[] = [256, 512, 576, 1024].map((d, index) => {
  const one = matrix(`m${index}`, d);
  const bits: Record<string, number> = {
    q8_0: 8,
    q6_k: 6,
    q5_1: 5.2,
    q5_0: 5,
    q5_k: 5.1,
    q4_1: 4.2,
    q4_k: 4.1,
    iq4_nl: 4,
    q4_0: 3.9,
  };
  return { matrix: one, options: typeOptions(one, (type) => (index + 1) * 4 ** -bits[type]!) };
});
const bytesOf = (chosen: readonly TypeOption[]) => chosen.reduce((sum, { bytes }) => sum + bytes, 0);
const lossOf = (chosen: readonly TypeOption[]) => chosen.reduce((sum, { loss }) => sum + loss, 0);

/** Every choice there is. */
const choices = decisions.reduce<TypeOption[][]>(
  (all, { options }) => all.flatMap((some) => options.map((option) => [...some, option])),
  [[]],
);

test("the choice is the best of all within a loss, or within a size", () => {
  for (const most of [0, 1e-4, 1e-3, 1e-2, 1]) {
    const chosen = leastBytes(decisions, most);
    const best = Math.min(...choices.filter((one) => lossOf(one) <= most).map(bytesOf));
    expect(lossOf(chosen)).toBeLessThanOrEqual(most);
    expect(bytesOf(chosen)).toBe(best);
  }
  for (const share of [1, 1.1, 1.3, 1.7, 3, 9]) {
    const most = share * leastBytesOf(decisions);
    const chosen = leastLoss(decisions, most)!;
    const best = Math.min(...choices.filter((one) => bytesOf(one) <= most).map(lossOf));
    expect(bytesOf(chosen)).toBeLessThanOrEqual(most);
    expect(lossOf(chosen)).toBeCloseTo(best, 6);
  }
  expect(leastLoss(decisions, leastBytesOf(decisions) - 1)).toBeNull();
});

test("a size is that of the file, or of its matrices a weight; one that nothing fits is refused, and the least named", async () => {
  const weights = 64 * (256 + 512 + 576 + 1024);
  expect(matrixBytesWithin({ bits: 6 }, decisions, 1000, "model.toml")).toBe((6 * weights) / 8);
  expect(matrixBytesWithin({ bytes: 200_000 }, decisions, 1000, "model.toml")).toBe(199_000);
  const within = (size: Parameters<typeof matrixBytesWithin>[0]) => () =>
    matrixBytesWithin(size, decisions, 1000, "model.toml");
  expect(within({ bits: 4 })).toThrow("bits = 4.5");
  expect(within({ bytes: 4000 })).toThrow(`max_bytes = ${leastBytesOf(decisions) + 1000}`);
  expect(await codeOf(within({ bits: 4 }))).toBe("size-too-small");
});
