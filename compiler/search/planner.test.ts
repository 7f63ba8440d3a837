import { describe, expect, test } from "vitest";
import { Algebra } from "../calibrate/algebra.js";
import { collectStats } from "../calibrate/collect.js";
import { runnableTargets } from "../cc/machine.js";
import { type PlanOptions, readConfig } from "../config/config.js";
import { printPlan } from "../graph-text/print.js";
import { cacheTypesOf } from "../ir/cache.js";
import { isDenseForm, kindOf } from "../ir/forms.js";
import { linearById } from "../ir/walk.js";
import { openModel } from "../models/model.js";
import { noFactors } from "../pack/weights.js";
import { makePlan } from "../passes/index.js";
import type { ActivationSurvey, SearchReport } from "../report/search.js";
import { silent } from "../support/progress.js";
import { temporaryFolder } from "../testing/fixtures.js";
import { lowRank, plantedModel, trained, white } from "../testing/planted.js";
import { KeptFactors } from "./kept-factors.js";
import { planCache } from "./plan-cache.js";
import { planLinears } from "./planner.js";

const bounded = '[quality]\nmode = "bounded"\n';

/** What the planner chooses for the cache alone, all linears dense, within budgets of KL; measured once. */
async function cachesWithin(toml: string, budgets: readonly number[]): Promise<SearchReport[]> {
  const read = readConfig(toml);
  const config = { ...read, plan: { ...read.plan, forms: ["dense" as const], kv: "auto" as const } };
  const model = await openModel(config, () => {});
  const kept = await KeptFactors.open();
  const ledgers = await temporaryFolder();
  try {
    const plan = makePlan(model.graph, { options: config.plan });
    const targets = (await runnableTargets()).slice(0, 1);
    const reports: SearchReport[] = [];
    for (const maxKl of budgets) {
      const job = { config: { ...config, quality: { ...config.quality, maxKl } }, mode: "bounded" as const };
      const rest = { stats: null, calibration: null, factors: noFactors, kept, progress: silent, ledgers };
      const found = await planCache({ model, targets, plan, ...job, ...rest });
      expect(new Set(cacheTypesOf(found.plan.graph))).toEqual(new Set([found.report.cache!.chosen]));
      reports.push(found.report);
    }
    return reports;
  } finally {
    await kept.close();
    model.weights.close();
  }
}

/** What the planner makes of a model.toml, from an empty ledger. */
async function planned(toml: string, changes: Partial<PlanOptions> = {}) {
  const read = readConfig(toml);
  const config = { ...read, plan: { ...read.plan, ...changes } };
  const model = await openModel(config, () => {});
  const targets = (await runnableTargets()).slice(0, 1);
  const algebra = new Algebra();
  const kept = await KeptFactors.open();
  try {
    const plan = makePlan(model.graph, { options: { ...config.plan, forms: ["dense"] } });
    const { stats, tokens } = await collectStats(model, config, targets, silent, plan);
    const job = { model, config, targets, plan, stats, calibration: tokens, algebra, kept, progress: silent };
    const mode = config.quality.mode === "lossless" ? "lossless" : "bounded";
    return await planLinears({ ...job, mode, ledgers: await temporaryFolder() });
  } finally {
    await algebra.close();
    await kept.close();
    model.weights.close();
  }
}

test("activations of low rank are computed in their subspace, which saves the bytes that theory says", async () => {
  const k = 32;
  const toml = await plantedModel(await lowRank(512, 24), `${bounded}[plan]\nk = [${k}]\nepsilon = [0.1]\n`);
  const { plan, report } = await planned(toml);
  const planted = report.inputs.filter(({ input }) => /_(attention_norm|attention|mlp_norm)$/.test(input));
  expect(planted).toHaveLength(6);
  let [dense, theory] = [0, 0];
  for (const { input, linears, form, activations } of planted) {
    expectLowRank(activations!, 24, input);
    // Of a few tokens outside, what else is offered may be cheaper than the dense weights.
    expect(["gated", "gated+tiered"], input).toContain(kindOf(form));
    expect(form.gate, input).toMatchObject({ k });
    const shapes = linears.map((id) => linearById(plan.graph, id).weight);
    const out = shapes.reduce((sum, { out: rows }) => sum + rows, 0);
    // Weights and factors are f16: W [out, d] beside V [d, k] and M [out, k].
    dense += 2 * out * shapes[0]!.d;
    theory += 2 * k * (out + shapes[0]!.d);
  }
  const read = planted.reduce((sum, { bytes_per_token }) => sum + bytes_per_token, 0);
  expect(Math.abs((dense - read) / (dense - theory) - 1)).toBeLessThan(0.05);
  expect(report.frontier.find((point) => point.chosen)!.kl.high).toBeLessThanOrEqual(report.max_kl!);
});

/** On both texts hardly anything lies outside as many directions as there are, and much outside of a few. */
function expectLowRank({ k, outside, residuals }: ActivationSurvey, rank: number, input: string): void {
  for (const energies of [outside.calibration!, outside.heldout]) {
    expect(energies, input).toEqual(energies.toSorted((a, b) => b - a));
    for (const [index, energy] of energies.entries()) {
      if (k[index]! <= 4) expect(energy, `${input}, k = ${k[index]}`).toBeGreaterThan(0.1);
      if (k[index]! >= rank) expect(energy, `${input}, k = ${k[index]}`).toBeLessThan(0.01);
    }
  }
  for (const { rho } of residuals) {
    expect(rho.calibration).toHaveLength(21);
    expect(rho.heldout).toEqual(rho.heldout.toSorted((a, b) => a - b));
  }
}

describe("activations with no preferred direction", () => {
  test("stay dense where only subspaces are offered, and it is said why", async () => {
    const toml = await plantedModel(await white(), bounded);
    const { plan } = await planned(toml, { forms: ["dense", "gated"], bits: [5] });
    const normed = [...plan.linears.values()].filter(({ linear }) => /_(query|key|value|up)$/.test(linear));
    expect(normed).toHaveLength(8);
    for (const { form, verdict } of normed) {
      expect(kindOf(form)).toBe("dense");
      expect(verdict).toMatch(
        /^stays dense: (no form is faster; gated .* reads \d+|the whole plan would gain too little)/,
      );
    }
  });

  test("draft in lossless mode with the plan that promises most, whatever its KL", async () => {
    const toml = await plantedModel(await white(), '[quality]\nmode = "lossless"\n');
    const { report } = await planned(toml, { forms: ["dense", "tiered"], rank: [0] });
    expect(report.max_kl).toBeNull();
    const chosen = report.frontier.find((point) => point.chosen)!;
    const gains = report.frontier.map(({ drafting }) => drafting.gain);
    expect(chosen.drafting.gain).toBe(Math.max(...gains));
    expect(chosen.drafting.gain).toBeGreaterThan(1.03);
    expect(report.verdict).toContain(`${chosen.drafting.gain.toFixed(2)} times as fast as exact mode`);
  });

  test("are quantised, without a subspace, where that is offered", async () => {
    const { plan } = await planned(await plantedModel(await white(), bounded));
    for (const { linear, form } of plan.linears.values())
      if (/_(query|key|value|up)$/.test(linear)) expect(kindOf(form), linear).toBe("tiered");
  });
});

test("the same inputs give the same plan; a budget that nothing meets gives the dense one", async () => {
  const settings = '[plan]\nforms = ["dense", "tiered"]\nbits = [3, 5]\nrank = [0]\nkv = "auto"\n';
  const toml = await plantedModel(await trained(), `${bounded}${settings}`);
  const [first, second] = [await planned(toml), await planned(toml)];
  const header = { config: "model.toml", fingerprint: "" };
  expect(printPlan(second.plan, header)).toBe(printPlan(first.plan, header));
  expect(second.report).toEqual(first.report);
  expect(first.report.pays).toBe(true);
  expect(new Set(cacheTypesOf(first.plan.graph))).toEqual(new Set([first.report.cache!.chosen]));
  expect(first.report.cache!.chosen).toBe("int8");
  expectRoundToNearest(first.report);
  expectPredictions(first.report);
  const strict = await plantedModel(await trained(), `${bounded}max_kl = 1e-12\n${settings}`);
  const { plan, report } = await planned(strict);
  expect(report.cache).toMatchObject({ chosen: "f32", tokens: 255, window: 256 });
  expect(cacheTypesOf(plan.graph)).toEqual(["f32", "f32", "f32", "f32"]);
  expect([...plan.linears.values()].every(({ form }) => isDenseForm(form))).toBe(true);
  expect(report.verdict).toContain("does not profit");
});

test("the cache is the one that is read fastest within the budget of KL", async () => {
  const toml = await plantedModel(await trained(), bounded);
  const [wide] = await cachesWithin(toml, [0.5]);
  const { options, chosen, verdict } = wide!.cache!;
  expect(chosen).toBe("int8");
  expect(wide!.verdict).toContain(verdict);
  const [f32, f16, int8] = options;
  expect([f32!.kl.high, f32!.predicted_kl]).toEqual([0, 0]);
  expect(f16!.kl.high).toBeLessThan(int8!.kl.low);
  expect(f16!.bytes_per_token).toBe(f32!.bytes_per_token / 2);
  expect(int8!.bytes_per_token).toBeLessThan(f16!.bytes_per_token);
  const between = (f16!.kl.high + int8!.kl.high) / 2;
  const chosenWithin = (await cachesWithin(toml, [between, between, f16!.kl.high / 2])).map(
    ({ cache }) => cache!.chosen,
  );
  expect(chosenWithin).toEqual(["f16", "f16", "f32"]);
});

/** What the pass backwards predicts is what whole plans are measured to cause, but for a factor that is near to 1. */
function expectPredictions({ frontier }: SearchReport): void {
  const predicted = frontier.filter(({ predicted_kl: kl }) => kl > 0 && kl < 0.1);
  expect(predicted.length).toBeGreaterThanOrEqual(2);
  for (const { predicted_kl, kl } of predicted) {
    expect(kl.value / predicted_kl).toBeGreaterThan(0.5);
    expect(kl.value / predicted_kl).toBeLessThan(2);
  }
}

/** Plain rounding was measured at the configured bits, and what the planner chose is better at the same bytes. */
function expectRoundToNearest({ round_to_nearest: rounded, frontier, dense, verdict }: SearchReport): void {
  expect(rounded.map(({ bits }) => bits)).toEqual([3, 5]);
  const [three, five] = rounded as [SearchReport["round_to_nearest"][0], SearchReport["round_to_nearest"][0]];
  expect(three.bytes_per_token).toBeLessThan(five.bytes_per_token);
  expect(five.bytes_per_token).toBeLessThan(dense.bytes_per_token);
  expect(three.kl.low).toBeGreaterThan(five.kl.high);
  // The planner has the same two sizes, with scales searched for and errors passed on.
  const uniform = frontier.find(({ bytes_per_token: bytes }) => bytes === three.bytes_per_token)!;
  expect(uniform.kl.high).toBeLessThan(three.kl.low);
  expect(frontier.at(-1)!.bytes_per_token).toBe(dense.bytes_per_token);
  expect(verdict).toContain("Plain round to nearest at ");
}
