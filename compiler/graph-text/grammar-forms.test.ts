import { describe, expect, test } from "vitest";
import type { Form } from "../ir/plan.js";
import type { GsicError } from "../support/errors.js";
import { openFixture } from "../testing/fixtures.js";
import { planOf } from "../testing/tiers.js";
import { parsePlan } from "./parse.js";
import { printPlan } from "./print.js";
import * as vocabulary from "./vocabulary.js";

const exact = { projections: 8, threshold: 0.2 };
const { model } = await openFixture("gpt2-f32");
model.weights.close();

/** Text, and the form that it says. */
const forms: readonly (readonly [text: string, form: Form])[] = [
  ["dense", vocabulary.dense],
  ["gated({ k: 4, epsilon: 0.2 })", vocabulary.gated({ k: 4, epsilon: 0.2 })],
  [
    "tiered({ bits: 5, group: 32, symmetric: true, rank: 0 })",
    vocabulary.tiered({ bits: 5, group: 32, symmetric: true, rank: 0 }),
  ],
  [
    "gatedTiered({ k: 8, epsilon: 1, bits: 4, group: 64, symmetric: false, rank: 4, exact: { projections: 8, threshold: 0.2 } })",
    vocabulary.gatedTiered({ k: 8, epsilon: 1, bits: 4, group: 64, symmetric: false, rank: 4, exact }),
  ],
];

function textOf(form: Form): string {
  return printPlan(planOf(model, form), { config: "model.toml", fingerprint: "00" });
}

describe("every form is written and read", () => {
  for (const [text, form] of forms) {
    test(text, async () => {
      const printed = textOf(form);
      expect(printed).toContain(`const layer0_down = linear(layer0_activation, ${text}, {`);
      const { plan } = await parsePlan("graph.ts", printed);
      expect(plan.linears.get("layer0_down")!.form).toEqual(form);
    });
  }

  test("with what a person leaves out", async () => {
    const printed = textOf(vocabulary.tiered({ bits: 5, group: 32 }));
    const bare = printed.replaceAll(", symmetric: true, rank: 0 }", " }");
    expect(bare).not.toBe(printed);
    expect((await parsePlan("g", bare)).plan).toEqual((await parsePlan("g", printed)).plan);
  });
});

describe("what a form cannot be", () => {
  const text = textOf(forms[3]![1]);
  const cases: readonly (readonly [from: string, to: string, code: string, message: string])[] = [
    ["bits: 4", "bits: 7", "quantizer-range", "bits = 7 is not offered"],
    ["group: 64", "group: 48", "quantizer-range", "group = 48 is not offered"],
    ["rank: 4", "rank: 6", "rank-range", "rank = 6 is not a multiple of 4 from 0 to below d = 30"],
    ["rank: 4", "rank: 32", "rank-range", "rank = 32 is not a multiple of 4 from 0 to below d = 30"],
    ["k: 8", "k: 30", "k-range", "k = 30 is not a positive integer below d = 30"],
    ["epsilon: 1,", "epsilon: 2,", "epsilon-range", "epsilon = 2 is out of range"],
    ["threshold: 0.2", "threshold: 0", "threshold-range", "threshold = 0 is out of range"],
    [
      "projections: 8",
      "projections: 0",
      "wrong-type",
      "projections of exact of gatedTiered must be a positive integer, not 0",
    ],
    [
      "symmetric: false",
      "symmetric: 0",
      "wrong-type",
      "symmetric of gatedTiered must be true or false, not 0",
    ],
    ["rank: 4", "ranks: 4", "unknown-property", 'gatedTiered has no property "ranks"'],
    ["bits: 4, ", "", "missing-property", "gatedTiered lacks bits"],
    ["gatedTiered(", "gated(", "unknown-property", 'gated has no property "bits"'],
    ["gatedTiered(", "dense(", "unknown-function", "dense cannot be called here"],
  ];
  for (const [from, to, code, message] of cases) {
    test(to === "" ? `no ${from}` : to, async () => {
      const broken = text.replace(from, to);
      const error: unknown = await parsePlan("g", broken).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ category: "usage", code: `graph-${code}`, message });
    });
  }

  test("the nearest of all forms is proposed, and all are named", async () => {
    const hint = (broken: string) =>
      parsePlan("g", broken).then(
        () => null,
        (thrown: unknown) => (thrown as GsicError).hint,
      );
    const all = "gated(...) or tiered(...) or gatedTiered(...)";
    expect(await hint(text.replace("gatedTiered(", "tierd("))).toBe(
      `did you mean tiered? form of linear is ${all}`,
    );
    const error: unknown = await parsePlan("g", text.replace(/gatedTiered\(\{.*?\} \}\)/, "5")).catch(
      (thrown: unknown) => thrown,
    );
    expect(error).toMatchObject({
      code: "graph-wrong-type",
      message: `form of linear must be ${all}, not 5`,
    });
  });
});
