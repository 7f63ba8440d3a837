import fc from "fast-check";
import { expect, test } from "vitest";
import { gaussian } from "../testing/kernels.js";
import { bootstrap } from "./bootstrap.js";

const meanOf = (values: readonly number[]) => (drawn: readonly number[]) =>
  drawn.reduce((sum, one) => sum + values[one]!, 0) / drawn.length;

test("the interval is the same every time, holds draws of the right size, and lies within the values", () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: -10, max: 10, noNaN: true }), { minLength: 1, maxLength: 12 }),
      (values) => {
        const found = bootstrap(values.length, (drawn) => {
          expect(drawn).toHaveLength(values.length);
          expect(drawn.every((one) => Number.isInteger(one) && one >= 0 && one < values.length)).toBe(true);
          return meanOf(values)(drawn);
        });
        expect(found).toEqual(bootstrap(values.length, meanOf(values)));
        expect(found.value).toBe(meanOf(values)(values.map((_, i) => i)));
        expect(found.low).toBeLessThanOrEqual(found.high);
        expect(found.low).toBeGreaterThanOrEqual(Math.min(...values) - 1e-12);
        expect(found.high).toBeLessThanOrEqual(Math.max(...values) + 1e-12);
      },
    ),
    { numRuns: 20 },
  );
});

test("one window has no spread", () => {
  expect(bootstrap(1, meanOf([3]))).toEqual({ value: 3, low: 3, high: 3 });
});

test("an interval of 95 % holds the truth about that often", () => {
  const random = gaussian(17);
  const [trials, windows] = [200, 30];
  let held = 0;
  let width = 0;
  for (let trial = 0; trial < trials; trial++) {
    const { low, high } = bootstrap(windows, meanOf(Array.from({ length: windows }, () => 5 + random())));
    if (low <= 5 && 5 <= high) held++;
    width += (high - low) / trials;
  }
  // 95 % in the limit; percentile intervals of 30 normal values hold it in about 93 %.
  expect(held / trials).toBeGreaterThan(0.88);
  expect(held / trials).toBeLessThan(0.985);
  expect(width).toBeGreaterThan((2 * 1.8) / Math.sqrt(windows));
  expect(width).toBeLessThan((2 * 2.1) / Math.sqrt(windows));
});
