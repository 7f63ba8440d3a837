import { createHash } from "node:crypto";
import { basename, join } from "node:path";
import type { Algebra } from "../calibrate/algebra.js";
import { type CalibrationTokens, windowOf } from "../calibrate/collect.js";
import { Factors } from "../calibrate/factors.js";
import type { StatsFile } from "../calibrate/stats-file.js";
import { asWindows, heldoutParts, requireTokenizer } from "../calibrate/text.js";
import { contentHash } from "../cc/cache.js";
import { buildRuntime, cacheFolder } from "../cc/index.js";
import { calibrationTarget } from "../cc/machine.js";
import type { Config, PlanOptions } from "../config/config.js";
import type { CpuTarget, Target } from "../config/target.js";
import { oneTier } from "../evaluate/account.js";
import { tierOf } from "../ir/forms.js";
import type { Form, InputGroup, Plan, Tier } from "../ir/plan.js";
import type { Mode } from "../ir/program.js";
import { linearById } from "../ir/walk.js";
import type { Model } from "../models/model.js";
import { fileIdentity } from "../pack/assemble.js";
import type { TextTokenizer } from "../read/tokenizer.js";
import type { TierShares } from "../report/evaluation.js";
import type { ActivationSurvey, SearchReport } from "../report/search.js";
import { GsicError } from "../support/errors.js";
import { templatesFolder } from "../support/paths.js";
import type { Progress } from "../support/progress.js";
import { version } from "../support/version.js";
import { surveyActivations } from "./activations.js";
import { type Candidate, candidateOf, recipeOfForm, tiersOf } from "./candidates.js";
import type { Decision } from "./frontier.js";
import { Ledger } from "./ledger.js";
import { bestDraft, leastTimeWithin } from "./objective.js";
import { searchReport, withVerdicts } from "./report.js";
import { measureRounding } from "./rounding.js";
import { type Samples, sampleInputs } from "./samples.js";
import { search } from "./search.js";
import { measureSensitivities, probe } from "./sensitivity.js";
import { type SurveyContext, surveyExactTiers, surveySubspaces } from "./surveys.js";
import type { Laboratory, MeasuredText } from "./variants.js";

/** Mean KL to the dense model that a plan may have where the configuration names none, in nats per token. */
export const defaultMaxKl = 0.02;

/** Tokens that sensitivities are measured on; in windows of `probeWindow`. */
const probeTokens = 768;
const probeWindow = 256;

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
  const target = targets[0]!;
  const maxKl = mode === "lossless" ? null : (config.quality.maxKl ?? defaultMaxKl);
  const objective = maxKl === null ? bestDraft() : leastTimeWithin(maxKl);
  const validation = validationText(job);
  const probed = probeText(job, validation);
  const sampled = sampledText(job, validation);
  const factors = new Factors(plan, model.weights, stats, algebra);
  const measuredOn = await calibrationTarget(targets);
  const ledger = await Ledger.open(await ledgerFile(job, measuredOn));
  const laboratory: Laboratory = {
    model,
    factors,
    targets: [measuredOn],
    ledger,
    progress,
  };
  const errorsOf = tierErrors(factors, ledger);
  const samples = new SampledOnce(() => sampleInputs(laboratory, plan, sampled));
  const heldout =
    sampled === validation ? samples : new SampledOnce(() => sampleInputs(laboratory, plan, validation));
  const { graph } = plan;
  const context = { graph, options: config.plan, factors, stats, ledger, samples: () => samples.get() };
  const { decisions, activations } = await decisionsOf(job, errorsOf, context, {
    name: `${sampled.name}, ${validation.name}`,
    heldout: () => heldout.get(),
  }).finally(() => Promise.all([samples.close(), heldout.close()]));
  const groups = decisions.map(({ group }) => group);
  const probeErrors: number[] = [];
  for (const group of groups) probeErrors.push(sum(await errorsOf(group, probe)));
  const sensitivities = await measureSensitivities(laboratory, plan, groups, probeErrors, probed);
  const found = await search(laboratory, plan, decisions, sensitivities, validation, objective, target);
  const rounded = await measureRounding(laboratory, plan, job, config.plan.bits, validation, target);
  return {
    plan: withVerdicts(found, objective, decisions),
    report: searchReport(found, objective, decisions, sensitivities, rounded, activations, maxKl),
  };
}

/** Held-out text beside the context's, to look at activations on both; `name` stands for the two in the ledger. */
interface SampledTexts {
  readonly name: string;
  readonly heldout: () => Promise<Samples>;
}

/** All forms of every group, with their errors, and how its input lies in subspaces. */
async function decisionsOf(
  { config, plan, targets, calibration, progress }: PlannerJob,
  errorsOf: ErrorsOf,
  context: SurveyContext,
  texts: SampledTexts,
): Promise<{ decisions: Decision[]; activations: (ActivationSurvey | null)[] }> {
  const update = progress.stage("Computing every linear in every form");
  const decisions: Decision[] = [];
  const activations: (ActivationSurvey | null)[] = [];
  for (const [index, group] of plan.groups.entries()) {
    const candidates = await candidatesOf(plan, group, errorsOf, context, config.plan, targets[0]!);
    decisions.push({ group, candidates });
    const survey = () =>
      surveyActivations(context, group, {
        calibration: calibration === null ? null : context.samples,
        heldout: texts.heldout,
      });
    const key = `activations: ${JSON.stringify([texts.name, group.input, config.plan.k])}`;
    activations.push(mayBeGated(plan, group, config.plan) ? await context.ledger.get(key, survey) : null);
    update(index + 1, plan.groups.length);
  }
  return { decisions, activations };
}

/** Whether subspace gates are offered to a group. A head is never gated: its image would be as large as itself. */
function mayBeGated({ graph }: Plan, { linears }: InputGroup, { forms }: PlanOptions): boolean {
  return !linears.includes(graph.output) && (forms.includes("gated") || forms.includes("gated+tiered"));
}

/** Gates that close for fewer tokens are not combined with tiers at few bits. */
const leastClosed = 0.05;
/** Bits up to which a tier leaves errors that an exact tier can be worth. */
const mostBitsBesideExact = 4;

/** The forms that a group may have, dense first. */
async function candidatesOf(
  plan: Plan,
  group: InputGroup,
  errorsOf: ErrorsOf,
  context: SurveyContext,
  options: PlanOptions,
  target: Target,
): Promise<Candidate[]> {
  const { graph } = plan;
  const { d } = linearById(graph, group.linears[0]!).weight;
  const allowed = (kind: Form["kind"]) => options.forms.includes(kind);
  const candidate = (form: Form, errors: readonly number[], shares = oneTier) =>
    candidateOf(graph, group, form, errors, shares, target);
  const candidates = [
    candidate(
      { kind: "dense" },
      group.linears.map(() => 0),
    ),
  ];
  const tiers: { tier: Tier; errors: readonly number[] }[] = [];
  if (allowed("tiered") || allowed("gated+tiered"))
    for (const tier of tiersOf(options, d))
      tiers.push({ tier, errors: await errorsOf(group, { kind: "tiered", ...tier }) });
  if (allowed("tiered")) {
    for (const { tier, errors } of tiers) {
      candidates.push(candidate({ kind: "tiered", ...tier }, errors));
      if (tier.quantizer.bits > mostBitsBesideExact) continue;
      const recipe = recipeOfForm(group, { kind: "tiered", ...tier });
      for (const { gate, closed, errors: left } of await surveyExactTiers(context, recipe, errors))
        candidates.push(
          candidate({ kind: "tiered", ...tier, exact: gate }, left, twoTiers(closed.validation)),
        );
    }
  }
  if (!mayBeGated(plan, group, options)) return candidates;
  for (const { gate, closed, errors: lost } of await surveySubspaces(context, group)) {
    const shares = twoTiers(closed.validation);
    if (allowed("gated")) candidates.push(candidate({ kind: "gated", ...gate }, lost, shares));
    if (!allowed("gated+tiered") || closed.validation < leastClosed) continue;
    for (const { tier, errors } of tiers) {
      const both = lost.map((error, index) => error + shares.slow * errors[index]!);
      candidates.push(candidate({ kind: "gated+tiered", ...gate, ...tier }, both, shares));
    }
  }
  return candidates;
}

function twoTiers(closed: number): TierShares {
  return { fast: closed, middle: 0, slow: 1 - closed };
}

/** E||y' - y||^2 by linear of a group under a form, on calibration activations. */
type ErrorsOf = (group: InputGroup, form: Form) => Promise<readonly number[]>;

/** The local errors of forms at few bits; each is computed once. */
function tierErrors(factors: Factors, ledger: Ledger): ErrorsOf {
  return async (group, form) => {
    if (tierOf(form) === null) return group.linears.map(() => 0);
    const recipe = recipeOfForm(group, form);
    return ledger.get(`error: ${JSON.stringify(recipe)}`, () => factors.errors(recipe));
  };
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
    hint: 'add [heldout] text = ["heldout.txt"], or leave one form and one value of each parameter in [plan]',
  });
}

/** The first half of the held-out text. */
function validationText({ model, config }: PlannerJob): MeasuredText {
  const tokenizer = requireValidation(config, model);
  const { validation } = heldoutParts(config.heldout.text, tokenizer, config.heldout.tokens);
  const window = windowOf(model, config);
  return measuredText(asWindows(validation, model.tokenizer!.prefix, window), window);
}

/** Calibration text, or where statistics came from a file validation text. */
function probeText({ model, calibration }: PlannerJob, validation: MeasuredText): MeasuredText {
  const ids = (calibration?.ids ?? validation.ids).subarray(0, probeTokens);
  return measuredText(ids, Math.min(probeWindow, model.graph.context));
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

/**
 * One for all that results depend on besides their names: model, statistics, target's packing, kernels and who runs
 * them, tool.
 */
async function ledgerFile(
  { model, stats, targets, ledgers }: PlannerJob,
  measuredOn: CpuTarget,
): Promise<string> {
  const hash = createHash("sha256");
  hash.update(JSON.stringify([version, model.fingerprint, fileIdentity(stats.file), targets[0]!.device]));
  hash.update(basename(await buildRuntime("tool")));
  hash.update(measuredOn.name);
  hash.update(await contentHash([templatesFolder], [".h", ".hbs"]));
  return join(ledgers ?? join(cacheFolder(), "plans"), `${hash.digest("hex").slice(0, 40)}.json`);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
