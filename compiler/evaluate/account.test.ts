import { describe, expect, test } from "vitest";
import { kindOf } from "../ir/forms.js";
import { linearById } from "../ir/walk.js";
import { makePlan } from "../passes/index.js";
import type { Report } from "../report/report.js";
import { openFixture } from "../testing/fixtures.js";
import { equationSix, equationSixOf, meanBytes, meanBytesPerToken } from "./account.js";

test("mean bytes are those of the tiers by their shares", () => {
  const bytes = { dense: 100, fast: 10, middle: 40, slow: 120 };
  expect(meanBytes(bytes, { fast: 0.5, middle: 0.3, slow: 0.2 })).toBeCloseTo(41, 12);
  expect(meanBytes({ dense: 100, fast: 10, slow: 120 }, { fast: 0.25, middle: 0, slow: 0.75 })).toBe(92.5);
});

describe("equation 6", () => {
  test("is d / k where all gates are closed, 1 where none is", () => {
    expect(equationSix(1, 4096, 256)).toBe(16);
    expect(equationSix(0, 4096, 256)).toBe(1);
    expect(equationSix(0.5, 4096, 256)).toBeCloseTo(1 / (0.5 / 16 + 0.5), 12);
  });

  test("of a plan leaves out the bases that its bytes have", async () => {
    const { graph, linears, inputs } = await gatedPlan();
    const all = (fast: number) =>
      Object.fromEntries(inputs.map((input) => [input, { fast, middle: 0, slow: 1 - fast }]));
    const closed = equationSixOf(linears, graph, all(1))!;
    const gated = linears.filter(({ form }) => kindOf(form) === "gated");
    const read = gated.reduce((sum, { bytes }) => sum + bytes.fast, 0);
    const dense = gated.reduce((sum, { bytes }) => sum + bytes.dense, 0);
    expect(closed.linears).toBe(gated.length);
    expect(gated.length).toBeLessThan(linears.length);
    expect(closed.bytes_speedup).toBeCloseTo(dense / read, 12);
    expect(closed.speedup).toBeGreaterThan(closed.bytes_speedup);
    // Open gates read the bases beside all weights; the paper's figure knows nothing of it.
    const open = equationSixOf(linears, graph, all(0))!;
    expect(open.speedup).toBeCloseTo(1, 12);
    expect(open.bytes_speedup).toBeLessThan(1);
  });

  test("of linears together weighs their times by dense bytes", async () => {
    const { graph, linears } = await gatedPlan();
    const two = ["layer0_query", "layer0_down"].map((id) => linears.find(({ linear }) => linear === id)!);
    const shares = {
      [two[0]!.input]: { fast: 1, middle: 0, slow: 0 },
      [two[1]!.input]: { fast: 0, middle: 0, slow: 1 },
    };
    const width = graph.nodes.flatMap((node) => (node.id === "layer0_query" ? [node] : []))[0];
    const d = width?.kind === "linear" ? width.weight.d : 0;
    const [fast, slow] = two.map(({ bytes }) => bytes.dense) as [number, number];
    const expected = (fast + slow) / ((fast * k) / d + slow);
    expect(equationSixOf(two, graph, shares)!.speedup).toBeCloseTo(expected, 12);
  });

  test("is null where no linear has a subspace gate", async () => {
    const { graph, linears } = await gatedPlan();
    const dense = linears.map((linear) => ({ ...linear, form: { gate: null, tier: null } }));
    expect(equationSixOf(dense, graph, {})).toBeNull();
    // Nor where none was counted, as in exact mode.
    expect(equationSixOf(linears, graph, {})).toBeNull();
  });
});

test("linears without gates take their only tier", async () => {
  const { linears } = await gatedPlan();
  const expected = linears.reduce((sum, { bytes }) => sum + bytes.fast, 0);
  expect(meanBytesPerToken(linears, {})).toBe(expected);
});

const k = 4;

/** A plan of a fixture as report.json has it: all but the head gated. */
async function gatedPlan() {
  const { model } = await openFixture("gpt2-f32");
  model.weights.close();
  const plan = makePlan(model.graph, { options: { forms: ["gated"], k: [k], epsilon: [0.1] } });
  const inputOf = (id: string) => plan.groups.find(({ linears }) => linears.includes(id))!.input;
  const linears: Report["linears"] = [...plan.linears.values()].map((linear) => ({
    ...linear,
    layer: linearById(model.graph, linear.linear).layer,
    input: inputOf(linear.linear),
  }));
  return { graph: model.graph, linears, inputs: plan.groups.map(({ input }) => input) };
}
