import { expect, test } from "vitest";

test("arrays of numbers are compared as vitest compares them, and what differs is told", () => {
  const numbers = Float32Array.of(1, Number.NaN, -0);
  expect(numbers).toEqual(numbers.slice());
  expect({ numbers }).toEqual({ numbers: numbers.slice() });
  expect(numbers.subarray(1)).toEqual(Float32Array.of(Number.NaN, -0));
  expect(numbers).not.toEqual(Float32Array.of(1, Number.NaN, 0));
  expect(numbers).not.toEqual(numbers.subarray(1));
  expect(new Uint8Array(4)).not.toEqual(new Int8Array(4));
  expect(() => expect(Uint8Array.of(1, 2)).toEqual(Uint8Array.of(1, 3))).toThrow(/deeply equal/);
});
