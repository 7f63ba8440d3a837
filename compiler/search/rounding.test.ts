import { expect, test } from "vitest";
import type { TextQuality } from "../report/evaluation.js";
import { type RoundedPlan, roundedAt } from "./rounding.js";

/** Plans of the given bytes and KL. */
function rounded(...plans: readonly (readonly [RoundedPlan["bits"], number, number])[]): RoundedPlan[] {
  return plans.map(([bits, meanBytes, kl]) => {
    const quality = { kl: { value: kl, low: kl, high: kl } } as TextQuality;
    return { bits, meanBytes, quality };
  });
}

const three = rounded([3, 100, 1e-1], [4, 200, 1e-3], [5, 300, 1e-4]);

test("between two plans the logarithm of the KL is linear in bytes", () => {
  expect(roundedAt(three, 150)).toEqual({
    smaller: three[0],
    larger: three[1],
    kl: expect.closeTo(1e-2, 12),
  });
  expect(roundedAt(three, 225).kl).toBeCloseTo(10 ** -3.25, 12);
  expect(roundedAt(three, 299.999).kl).toBeCloseTo(1e-4, 8);
});

test("at a plan's own bytes that plan is the larger, and its KL that of the same bytes", () => {
  expect(roundedAt(three, 200)).toEqual({
    smaller: three[0],
    larger: three[1],
    kl: expect.closeTo(1e-3, 12),
  });
});

test("outside of what was measured nothing is extrapolated", () => {
  expect(roundedAt(three, 50)).toEqual({ smaller: null, larger: three[0], kl: null });
  expect(roundedAt(three, 100)).toEqual({ smaller: null, larger: three[0], kl: null });
  expect(roundedAt(three, 301)).toEqual({ smaller: three[2], larger: null, kl: null });
  expect(roundedAt([], 100)).toEqual({ smaller: null, larger: null, kl: null });
});

test("a KL without a logarithm is not interpolated", () => {
  expect(roundedAt(rounded([3, 100, 0.1], [8, 200, 0]), 150).kl).toBeNull();
});
