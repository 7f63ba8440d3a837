import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { packageRoot } from "../support/paths.js";
import { codeOf } from "../testing/files.js";
import { unwritable } from "./file.js";
import { checkedBytes, checkedPadding, checkedProduct, checkedSize, checkedSum, rangeFits } from "./sizes.js";

const subject = { file: "model.gguf", tensor: "w", offset: 12 };
const size = fc.oneof(fc.nat(1000), fc.bigInt({ min: 0n, max: 2n ** 53n - 1n }).map(Number));

/** Compares a checked computation with the same one in bigints. */
async function agrees(action: () => number, exact: bigint) {
  if (exact > Number.MAX_SAFE_INTEGER) {
    expect(await codeOf(action)).toBe("size-overflow");
  } else {
    expect(BigInt(action())).toBe(exact);
  }
}

test("products and sums are exact or refused", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(size, { maxLength: 5 }), async (values) => {
      const sizes = values.map((value) => BigInt(value));
      await agrees(
        () => checkedSum(values, "sum", subject),
        sizes.reduce((sum, value) => sum + value, 0n),
      );
      const product = sizes.filter((value) => value > 0n).reduce((result, value) => result * value, 1n);
      const hasZero = sizes.includes(0n) && product <= Number.MAX_SAFE_INTEGER;
      await agrees(() => checkedProduct(values, "product", subject), hasZero ? 0n : product);
    }),
  );
});

test("padding is the next multiple, or refused", async () => {
  await fc.assert(
    fc.asyncProperty(size, fc.nat(20), async (value, power) => {
      const alignment = 2n ** BigInt(power);
      const exact = ((BigInt(value) + alignment - 1n) / alignment) * alignment;
      await agrees(() => checkedPadding(value, Number(alignment), "padding", subject), exact);
    }),
  );
});

/** `runtime/src/sizes.h` is tested with the same file. */
describe("the vectors that the C reader is tested with", () => {
  interface Vectors {
    readonly sum: readonly { of: readonly string[]; is: string | null }[];
    readonly product: readonly { of: readonly string[]; is: string | null }[];
    readonly padding: readonly { size: string; alignment: string; is: string | null }[];
    readonly range: readonly { offset: string; bytes: string; size: string; fits: boolean }[];
  }
  const file = join(packageRoot, "runtime/testing/size-vectors.json");
  const vectors = JSON.parse(readFileSync(file, "utf8")) as Vectors;
  /** Numbers come out of a file through `checkedSize`, as bigints. */
  const sizes = (list: readonly string[]) => list.map((one) => checkedSize(BigInt(one), "number", subject));
  const meets = async (action: () => number, expected: string | null) => {
    if (expected === null) expect(await codeOf(action)).toBe("size-overflow");
    else expect(String(action())).toBe(expected);
  };

  test.each(vectors.sum)("sum $of", async ({ of, is }) => {
    await meets(() => checkedSum(sizes(of), "sum", subject), is);
  });
  test.each(vectors.product)("product $of", async ({ of, is }) => {
    await meets(() => checkedProduct(sizes(of), "product", subject), is);
  });
  test.each(vectors.padding)("padding of $size to $alignment", async ({ size, alignment, is }) => {
    await meets(() => checkedPadding(sizes([size])[0]!, Number(alignment), "padding", subject), is);
  });
  test.each(vectors.range)("$offset + $bytes in $size", async ({ offset, bytes, size, fits }) => {
    const check = () => {
      const [from, count, whole] = sizes([offset, bytes, size]) as [number, number, number];
      return rangeFits(from, count, whole, subject);
    };
    if (fits) expect(check()).toBe(true);
    else expect(["(no error)", "size-overflow"]).toContain(await codeOf(check));
    if (!fits && (await codeOf(check)) === "(no error)") expect(check()).toBe(false);
  });
});

test("sizes are whole and not negative, and errors name the place", async () => {
  expect(checkedSize(5n, "count", subject)).toBe(5);
  expect(await codeOf(() => checkedSize(2n ** 53n, "count", subject))).toBe("size-overflow");
  for (const wrong of [-1, 0.5, Number.NaN, -5n]) {
    expect(await codeOf(() => checkedSize(wrong, "count", subject)), `${wrong}`).toBe("size-invalid");
  }
  expect(() => checkedSize(-1, "count", subject)).toThrowError(
    expect.objectContaining({ where: 'model.gguf: tensor "w": byte 12', category: "data" }),
  );
});

test("bytes count whole blocks along the last dimension", async () => {
  const block = { elements: 32, bytes: 34 };
  expect(checkedBytes([3, 64], block, subject)).toBe(204);
  expect(checkedBytes([], { elements: 1, bytes: 4 }, subject)).toBe(4);
  expect(await codeOf(() => checkedBytes([64, 3], block, subject))).toBe("tensor-row-block");
});

test("a full disk is told from other failures to write", () => {
  const failure = (code: string) => unwritable("out", Object.assign(new Error("failed"), { code })).code;
  expect([failure("ENOSPC"), failure("EDQUOT"), failure("EACCES")]).toEqual([
    "disk-full",
    "disk-full",
    "file-unwritable",
  ]);
});
