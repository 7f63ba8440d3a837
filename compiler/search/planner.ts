import { createHash } from "node:crypto";
import { basename, join } from "node:path";
import type { Algebra } from "../calibrate/algebra.js";
import { type CalibrationTokens, heldoutWindow, windowOf } from "../calibrate/collect.js";
import { Factors } from "../calibrate/factors.js";
import type { StatsFile } from "../calibrate/stats-file.js";
import { asWindows, heldoutParts, requireTokenizer } from "../calibrate/text.js";
import { contentHash } from "../cc/cache.js";
import { buildRuntime } from "../cc/index.js";
import { calibrationTarget } from "../cc/machine.js";
import type { Config, PlanOptions } from "../config/config.js";
import type { CpuTarget, Target } from "../config/target.js";
import type { InputGroup, Plan, QuantizedTier } from "../ir/plan.js";
import type { Mode } from "../ir/program.js";
import { linearById } from "../ir/walk.js";
import type { Model } from "../models/model.js";
import { fileIdentity } from "../pack/assemble.js";
import type { TextTokenizer } from "../read/tokenizer.js";
import type { ActivationSurvey, SearchReport } from "../report/search.js";
import { GsicError } from "../support/errors.js";
import { cacheFolder, templatesFolder } from "../support/paths.js";
import type { Progress } from "../support/progress.js";
import { version } from "../support/version.js";
import { surveyActivations } from "./activations.js";
import { type CachesMeasured, measureCaches, positionsBefore } from "./cache-options.js";
import { tiersOf } from "./candidates.js";
import type { Decision } from "./frontier.js";
import type { KeptFactors } from "./kept-factors.js";
import { Ledger } from "./ledger.js";
import { bestDraft, leastTimeWithin } from "./objective.js";
import { candidatesOf, mayBeGated } from "./offers.js";
import { searchReport, withVerdicts } from "./report.js";
import { measureRounding } from "./rounding.js";
import { type Samples, sampleInputs } from "./samples.js";
import { search } from "./search.js";
import { type GroupEffects, measureEffects, probeTokensOf } from "./sensitivity.js";
import type { Laboratory, MeasuredText } from "./variants.js";

/** Mean KL to the dense model that a plan may have where the configuration names none, in nats per token. */
export const defaultMaxKl = 0.02;

/** What the planner looks at. */
export interface PlannerJob {
  readonly model: Model;
  readonly config: Config;
  /** Decides what the plan is for: to be within a budget of KL, or to draft. */
  readonly mode: Exclude<Mode, "exact">;
  /** The first decides what reading costs. */
  readonly targets: readonly Target[];
  /** All linears dense. */
  readonly plan: Plan;
  readonly stats: StatsFile;
  /** Null where statistics come from a file. */
  readonly calibration: CalibrationTokens | null;
  readonly algebra: Algebra;
  /** Receives the matrices at few bits of every plan that is measured. */
  readonly kept: KeptFactors;
  readonly progress: Progress;
  /** Folder of ledgers; default: in the cache. */
  readonly ledgers?: string;
}

/**
 * Chooses a form for every linear: the plan that is predicted to be fastest on the target within the budget for KL, or
 * in lossless mode to draft best; both are measured on the first half of the held-out text. Everything that is computed is kept in a ledger in the
 * cache: an interrupted planner goes on where it was. The same inputs give the same plan. Throws `heldout-missing`
 * (category usage).
 */
export async function planLinears(job: PlannerJob): Promise<{ plan: Plan; report: SearchReport }> {
  const { model, config, mode, targets, plan, stats, algebra, progress } = job;
  const maxKl = mode === "lossless" ? null : (config.quality.maxKl ?? defaultMaxKl);
  const objective = maxKl === null ? bestDraft() : leastTimeWithin(maxKl);
  const validation = validationText(job);
  const factors = new Factors(plan, model.weights, stats, algebra);
  const measuredOn = await calibrationTarget(targets);
  const ledger = await Ledger.open(await ledgerFile(job, measuredOn));
  const { kept } = job;
  const laboratory = { model, factors: kept.of(factors), kept, targets: [measuredOn], ledger, progress };
  const effects = await measureEffects(
    { graph: plan.graph, weights: model.weights, algebra, factors, ledger, progress },
    plan.groups,
    (group) => offeredTiers(plan, group, config.plan),
    probeText(job, validation),
  );
  const { decisions, activations } = await decisionsOf(job, laboratory, factors, effects, validation);
  const target = targets[0]!;
  const caches = await cachesOf(job, laboratory, validation);
  const found = await search(laboratory, plan, decisions, validation, objective, target, caches?.options);
  const { meanBytes } = found.chosen;
  const { bits } = config.plan;
  const rounded = await measureRounding(laboratory, plan, job, bits, meanBytes, validation, target);
  return {
    plan: withVerdicts(found, objective, decisions),
    report: searchReport({ found, objective, decisions, effects, rounded, activations, caches, maxKl }),
  };
}

/** What the types of the cache do to the dense model; null where the configuration names one. */
async function cachesOf(
  { config, plan, targets }: Pick<PlannerJob, "config" | "plan" | "targets">,
  laboratory: Laboratory,
  validation: MeasuredText,
): Promise<CachesMeasured | null> {
  if (config.plan.kv !== "auto") return null;
  const positions = positionsBefore(plan.graph, config.plan);
  return measureCaches(laboratory, plan, validation, positions, targets[0]!);
}

/** All forms of every group, and how its input lies in subspaces. */
async function decisionsOf(
  job: PlannerJob,
  laboratory: Laboratory,
  factors: Factors,
  effects: readonly GroupEffects[],
  validation: MeasuredText,
): Promise<{ decisions: Decision[]; activations: (ActivationSurvey | null)[] }> {
  const { config, plan, targets, stats, calibration, progress } = job;
  const { ledger } = laboratory;
  const sampled = sampledText(job, validation);
  const samples = new SampledOnce(() => sampleInputs(laboratory, plan, sampled));
  const heldout =
    sampled === validation ? samples : new SampledOnce(() => sampleInputs(laboratory, plan, validation));
  const [options, target] = [config.plan, targets[0]!];
  const context = { graph: plan.graph, options, factors, stats, ledger, samples: () => samples.get() };
  const texts = {
    calibration: calibration === null ? null : context.samples,
    heldout: () => heldout.get(),
  };
  const surveyOf = (group: InputGroup) => {
    if (!mayBeGated(plan, group, options)) return null;
    const key = `activations: ${JSON.stringify([sampled.name, validation.name, group.input, options.k])}`;
    return ledger.get(key, () => surveyActivations(context, group, texts));
  };
  const decisions: Decision[] = [];
  const activations: (ActivationSurvey | null)[] = [];
  try {
    let update = progress.stage("Looking at gates");
    for (const [index, group] of plan.groups.entries()) {
      const survey = await surveyOf(group);
      // Samples, which are taken when they are first asked for, are a stage of their own.
      if (index === 0) update = progress.stage("Looking at gates");
      const offer = { plan, group, context, options, target, activations: survey };
      decisions.push({ group, candidates: await candidatesOf({ ...offer, effects: effects[index]! }) });
      activations.push(survey);
      update(index + 1, plan.groups.length);
    }
  } finally {
    await Promise.all([samples.close(), heldout.close()]);
  }
  return { decisions, activations };
}

/** The tiers at few bits that the configuration offers to a group. */
function offeredTiers(
  { graph }: Plan,
  { linears }: InputGroup,
  options: PlanOptions,
): readonly QuantizedTier[] {
  const offered = options.forms.includes("tiered") || options.forms.includes("gated+tiered");
  return offered ? tiersOf(options, linearById(graph, linears[0]!).weight.d) : [];
}

/** What reads held-out text; throws `heldout-missing` and `tokenizer-missing` where there is nothing to measure plans on. Cheap. */
export function requireValidation(config: Config, model: Model): TextTokenizer {
  const tokenizer = requireTokenizer(model.tokenizer, model.weights.source, "the planner");
  if (config.heldout.text.length > 0) return tokenizer;
  throw new GsicError({
    category: "usage",
    code: "heldout-missing",
    message: "the planner has no held-out text to measure its plans on",
    where: `${config.file}: heldout.text`,
    hint: 'add [heldout] text = ["heldout.txt"], or leave nothing to choose in [plan]: one form, one value of each parameter, and no kv = "auto"',
  });
}

type TextsOf = Pick<PlannerJob, "model" | "config" | "calibration">;

/** The first half of the held-out text. */
export function validationText({ model, config }: TextsOf): MeasuredText {
  const tokenizer = requireValidation(config, model);
  const { validation } = heldoutParts(config.heldout.text, tokenizer, config.heldout.tokens);
  const window = heldoutWindow(model, config);
  return measuredText(asWindows(validation, model.tokenizer!.prefix, window), window);
}

/** Of calibration text, or where statistics came from a file of validation text. */
function probeText({ model, config, calibration }: TextsOf, validation: MeasuredText): MeasuredText {
  const { ids, window } = probeTokensOf(
    model.graph,
    calibration?.ids ?? validation.ids,
    windowOf(model, config),
  );
  return measuredText(ids, window);
}

/** Calibration text, on which statistics are at home, and as much of validation text, on which they may not be. */
export function probeTexts(job: TextsOf, validation: MeasuredText): MeasuredText[] {
  const other = probeText({ ...job, calibration: null }, validation);
  return job.calibration === null ? [other] : [probeText(job, validation), other];
}

/** What gates are judged by: calibration text, or where statistics came from a file validation text. */
function sampledText({ model, config, calibration }: PlannerJob, validation: MeasuredText): MeasuredText {
  return calibration === null ? validation : measuredText(calibration.ids, windowOf(model, config));
}

/** Samples that are taken when they are first asked for. */
class SampledOnce {
  private taken: Promise<Samples> | undefined;

  constructor(private readonly take: () => Promise<Samples>) {}

  get(): Promise<Samples> {
    this.taken ??= this.take();
    return this.taken;
  }

  async close(): Promise<void> {
    await (await this.taken?.catch(() => undefined))?.close();
  }
}

function measuredText(ids: Int32Array, window: number): MeasuredText {
  const hash = createHash("sha256").update(`${window} `).update(ids).digest("hex");
  return { name: hash.slice(0, 16), ids, window };
}

/** What a ledger is of; `stats` is null where nothing in it depends on statistics. */
type LedgerOf = Pick<PlannerJob, "model" | "targets" | "ledgers"> & { readonly stats: StatsFile | null };

/**
 * One for all that results depend on besides their names: model, statistics, target's packing, kernels and who runs
 * them, tool.
 */
export async function ledgerFile(
  { model, stats, targets, ledgers }: LedgerOf,
  measuredOn: CpuTarget,
): Promise<string> {
  const hash = createHash("sha256");
  const statistics = stats && fileIdentity(stats.file);
  hash.update(JSON.stringify([version, model.fingerprint, statistics, targets[0]!.device]));
  hash.update(basename(await buildRuntime("tool")));
  hash.update(measuredOn.name);
  hash.update(await contentHash([templatesFolder], [".h", ".hbs"]));
  return join(ledgers ?? join(cacheFolder(), "plans"), `${hash.digest("hex").slice(0, 40)}.json`);
}
