import type { Dump } from "../build-folder/dump.js";
import type { Algebra } from "../calibrate/algebra.js";
import { collectStats } from "../calibrate/collect.js";
import { Factors } from "../calibrate/factors.js";
import type { RoundedMatrices } from "../calibrate/rounded.js";
import { configuredCache } from "../config/cache.js";
import { type Config, configuredForm, isConfigured } from "../config/config.js";
import type { Target } from "../config/target.js";
import { adoptPlan } from "../graph-text/adopt.js";
import type { ParsedPlan } from "../graph-text/parse.js";
import { withCache } from "../ir/cache.js";
import { isDense } from "../ir/forms.js";
import type { Plan } from "../ir/plan.js";
import type { Mode } from "../ir/program.js";
import type { Model } from "../models/model.js";
import { noFactors } from "../pack/weights.js";
import { makePlan } from "../passes/index.js";
import type { SearchReport } from "../report/search.js";
import { GsicError } from "../support/errors.js";
import type { Progress } from "../support/progress.js";
import type { KeptFactors } from "./kept-factors.js";
import { planCache } from "./plan-cache.js";
import { planLinears, requireValidation } from "./planner.js";
import type { ModelFile } from "./type-options.js";
import { planTypes } from "./types.js";

/** What a plan is decided from. */
interface PlanRequest {
  /** Path of the model.toml or graph.ts, for errors. */
  readonly input: string;
  /** Receives the plan after every pass, and the planner's. */
  readonly dump: Dump | null;
  readonly progress: Progress;
  readonly config: Config;
  readonly mode: Mode;
  readonly targets: readonly Target[];
  readonly model: Model;
  /** The graph.ts that is built; null where the model's own graph is. */
  readonly edited: ParsedPlan | null;
  readonly algebra: Algebra;
  /** Receives what the planner makes at few bits. */
  readonly kept: KeptFactors;
  /** Receives the matrices that are rounded to types of GGUF. */
  readonly rounded: RoundedMatrices;
  /** The GGUF file of the model; asked for where its types are planned. */
  readonly file: () => ModelFile;
}

/** The form of every linear: as edited or configured, or as the planner chooses; with the statistics that took. */
export async function decide({
  input,
  dump,
  progress,
  config,
  mode,
  targets,
  model,
  edited,
  algebra,
  kept,
  rounded,
  file,
}: PlanRequest): Promise<{ plan: Plan; search: SearchReport | null; calibration: Calibration | null }> {
  const first =
    edited === null
      ? await planOf(model, config, mode, targets, dump)
      : adoptPlan(edited, model, input, targets[0]!.device);
  if (edited !== null) await dump?.plan("adopt-plan", first);
  if (mode === "exact" && !isDense(first)) throw formsInExactMode(input);
  const isFree = !isConfigured(config.plan);
  const searches = edited === null && mode !== "exact" && (isFree || config.plan.kv === "auto");
  if (!searches) {
    const needed = !isDense({ ...first, graph: withCache(first.graph, "f32") });
    const calibration = needed ? await collectStats(model, config, targets, progress, first) : null;
    if (calibration !== null) await rounded.make(first.graph, calibration.stats, () => {});
    return { plan: first, search: null, calibration };
  }
  requireValidation(config, model);
  if (!isFree) {
    const calibration = isDense(first) ? null : await collectStats(model, config, targets, progress, first);
    const stats = calibration?.stats ?? null;
    const factors = stats === null ? noFactors : kept.of(new Factors(first, model.weights, stats, algebra));
    const job = { model, config, mode, targets, plan: first, stats, factors, kept, progress };
    const found = await planCache({ ...job, calibration: calibration?.tokens ?? null });
    await dump?.plan("plan-cache", found.plan);
    return { plan: found.plan, search: found.report, calibration };
  }
  const planned = config.plan.types === null ? null : { file: file() };
  if (planned !== null && mode === "lossless") throw typesInLosslessMode(config);
  const calibration = await collectStats(model, config, targets, progress, first);
  const { stats, tokens } = calibration;
  const job = { model, config, targets, plan: first, algebra, kept, progress, stats, calibration: tokens };
  const found =
    config.plan.types === null
      ? await planLinears({ ...job, mode })
      : await planTypes({ ...job, rounded, file: planned!.file });
  await dump?.plan(config.plan.types === null ? "plan-linears" : "plan-types", found.plan);
  return { plan: found.plan, search: found.report, calibration };
}

/** Statistics, with the tokens that they were collected from. */
export type Calibration = Awaited<ReturnType<typeof collectStats>>;

function typesInLosslessMode({ file }: Config): GsicError {
  return new GsicError({
    category: "usage",
    code: "types-in-lossless-mode",
    message: "types of llama.cpp are planned within a KL or a size, and not to draft",
    where: `${file}: plan.types`,
    hint: 'build it with mode = "bounded"; such a build runs in lossless mode, too',
  });
}

function formsInExactMode(input: string): GsicError {
  return new GsicError({
    category: "usage",
    code: "graph-gates-in-exact-mode",
    message:
      "the graph has linears that are not dense, or a cache that rounds, which exact mode does not have",
    where: input,
    hint: "build it with --mode bounded or lossless, or make them dense, without cache",
  });
}

async function planOf(
  model: Model,
  config: Config,
  mode: Mode,
  targets: readonly Target[],
  dump: Dump | null,
): Promise<Plan> {
  const options =
    mode === "exact" ? { ...config.plan, forms: ["dense" as const] } : configuredForm(config.plan);
  const stages: (readonly [name: string, plan: Plan])[] = [];
  const graph = mode === "exact" ? model.graph : withCache(model.graph, configuredCache(config.plan));
  const plan = makePlan(graph, { options, device: targets[0]!.device }, (...stage) => stages.push(stage));
  if (dump !== null) for (const stage of stages) await dump.plan(...stage);
  return plan;
}
