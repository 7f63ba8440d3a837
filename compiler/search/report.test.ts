import { expect, test } from "vitest";
import type { Form } from "../ir/plan.js";
import { rejection } from "./report.js";

const gated = (k: number): Form => ({ gate: { k, epsilon: 0.1 }, tier: null });

test("a rejected candidate says why, and by which form it is dominated", () => {
  const dense = { form: { gate: null, tier: null } as const, cost: 10, loss: 0 };
  const [slow, large, chosen, small] = [
    { form: gated(64), cost: 10, loss: 0.1 },
    { form: gated(32), cost: 8, loss: 0.2 },
    { form: gated(16), cost: 5, loss: 0.3 },
    { form: gated(8), cost: 2, loss: 0.9 },
  ] as const;
  const beaten = { form: gated(9), cost: 5, loss: 0.4 };
  const twin = { form: gated(33), cost: 8, loss: 0.2 };
  const all = [dense, slow, large, chosen, small, beaten, twin];
  const reasons = all.filter((one) => one !== chosen).map((one) => rejection(one, chosen, all));
  expect(reasons).toEqual([
    { why: "saves-too-little" },
    { why: "slower" },
    { why: "saves-too-little" },
    { why: "loses-too-much" },
    { why: "dominated", by: chosen.form },
    // As good as another: neither dominates.
    { why: "saves-too-little" },
  ]);
});
