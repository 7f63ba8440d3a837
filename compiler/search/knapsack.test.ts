import fc from "fast-check";
import { expect, test } from "vitest";
import { aboveHull, chooseOptions, type Option, undominated } from "./knapsack.js";

const option = fc.record({ cost: fc.integer({ min: 0, max: 50 }), loss: fc.integer({ min: 0, max: 30 }) });
const decisions = fc.array(fc.array(option, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 5 });

const sum = (chosen: readonly Option[], of: keyof Option) =>
  chosen.reduce((total, one) => total + one[of], 0);

/** The least cost within a budget, by trying everything; null if nothing is within it. */
function exhaustive(all: readonly (readonly Option[])[], budget: number): number | null {
  const choices = all.reduce<Option[][]>(
    (partial, options) => partial.flatMap((chosen) => options.map((one) => [...chosen, one])),
    [[]],
  );
  const costs = choices
    .filter((chosen) => sum(chosen, "loss") <= budget)
    .map((chosen) => sum(chosen, "cost"));
  return costs.length === 0 ? null : Math.min(...costs);
}

test("a choice is within the budget, and none is cheaper", () => {
  fc.assert(
    // A budget of 20,000 steps makes whole losses whole steps, so that nothing is rounded.
    fc.property(decisions, fc.constantFrom(1, 10, 25, 50, 100, 200), (all, budget) => {
      const scale = 20_000 / budget;
      const scaled = all.map((options) => options.map(({ cost, loss }) => ({ cost, loss: loss * scale })));
      const indices = chooseOptions(scaled, 20_000);
      const expected = exhaustive(all, budget);
      if (indices === null) {
        expect(expected).toBeNull();
        return;
      }
      const chosen = indices.map((index, number) => all[number]![index]!);
      expect(sum(chosen, "loss")).toBeLessThanOrEqual(budget);
      expect(sum(chosen, "cost")).toBe(expected);
    }),
  );
});

test("losses that are multiples of a number are not rounded", () => {
  fc.assert(
    fc.property(
      decisions,
      fc.integer({ min: 0, max: 99 }),
      fc.integer({ min: 1, max: 999 }),
      (all, budget, multiple) => {
        const scaled = all.map((options) =>
          options.map(({ cost, loss }) => ({ cost, loss: loss * multiple })),
        );
        const indices = chooseOptions(scaled, (budget + 0.9) * multiple, multiple);
        const cost = indices?.reduce((total, index, number) => total + all[number]![index]!.cost, 0) ?? null;
        expect(cost).toBe(exhaustive(all, budget));
      },
    ),
  );
});

test("losses that are no whole steps are rounded against the choice", () => {
  fc.assert(
    fc.property(decisions, fc.double({ min: 1e-6, max: 1, noNaN: true }), (all, budget) => {
      const tiny = all.map((options) =>
        options.map(({ cost, loss }) => ({ cost, loss: loss * 0.0137 * budget })),
      );
      const indices = chooseOptions(tiny, budget);
      if (indices === null) return;
      const used = indices.reduce((total, index, number) => total + tiny[number]![index]!.loss, 0);
      expect(used).toBeLessThanOrEqual(budget * (1 + 1e-9));
    }),
  );
});

test("without a budget only what loses nothing is chosen", () => {
  const lossless = { cost: 9, loss: 0 };
  expect(chooseOptions([[{ cost: 1, loss: 1e-12 }, lossless], [lossless]], 0)).toEqual([1, 0]);
  expect(chooseOptions([[{ cost: 1, loss: 1e-12 }]], 0)).toBeNull();
});

test("what is left are the options that no other beats", () => {
  fc.assert(
    fc.property(fc.array(option, { minLength: 1 }), (options) => {
      const kept = undominated(options);
      for (const one of options)
        expect(kept.some(({ cost, loss }) => cost <= one.cost && loss <= one.loss)).toBe(true);
      for (let i = 1; i < kept.length; i++) {
        expect(kept[i]!.cost).toBeGreaterThan(kept[i - 1]!.cost);
        expect(kept[i]!.loss).toBeLessThan(kept[i - 1]!.loss);
      }
    }),
  );
});

test("an option is above the hull where a mixture of two others is no dearer and loses no more", () => {
  const options = [
    { cost: 1, loss: 8 },
    { cost: 3, loss: 2 },
    { cost: 5, loss: 0 },
  ];
  expect(aboveHull(options, { cost: 2, loss: 5.1 })).toBe(true);
  expect(aboveHull(options, { cost: 2, loss: 4.9 })).toBe(false);
  expect(aboveHull(options, { cost: 3, loss: 2 })).toBe(true);
  expect(aboveHull(options, { cost: 0.5, loss: 9 })).toBe(false);
  expect(aboveHull(options, { cost: 6, loss: 0 })).toBe(false);
});
