import { relative } from "node:path";
import type { TargetCode } from "../cc/index.js";
import { buildFiles } from "../config/build-files.js";
import { isTunable } from "../config/devices.js";
import { shapeKey, type Tuning } from "../config/tuning.js";
import { cacheTypesOf, withCache } from "../ir/cache.js";
import { writeForms } from "../ir/forms.js";
import type { Plan } from "../ir/plan.js";
import type { Mode, ProgramMode } from "../ir/program.js";
import { linearById } from "../ir/walk.js";
import { bytesPerPosition } from "../layout/cache.js";
import type { Model } from "../models/model.js";
import { bytesPerToken, predictSeconds } from "../passes/cost.js";
import type { Report } from "../report/report.js";
import type { ResourceFacts } from "../report/resources.js";
import type { SearchReport } from "../report/search.js";
import type { SelfCheck } from "../report/self-check.js";
import type { StorageReport } from "../report/storage.js";
import type { TuningReport } from "../report/tuning.js";
import { launchesOf, launchesPerLayer } from "../schedule/listing.js";
import type { Schedule } from "../schedule/program.js";
import { version } from "../support/version.js";

/** The report of a fresh build; what `gsic eval` and `gsic bench` measure later is null in it. */
export function reportOf(facts: {
  config: string;
  plan: Plan;
  search: SearchReport | null;
  storage: StorageReport | null;
  scheduled: Schedule;
  model: Model;
  /** The default first. */
  modes: readonly Mode[];
  /** Those of them with a program; the plan's first. */
  programs: readonly ProgramMode[];
  code: readonly TargetCode[];
  check: SelfCheck;
  calibration: Report["calibration"];
  tuning: TuningReport | null;
}): Report {
  const {
    config,
    plan,
    search,
    storage,
    scheduled,
    model,
    modes,
    programs,
    code,
    check,
    calibration,
    tuning,
  } = facts;
  const { cost, device } = code[0]!.target;
  const bytes = bytesPerToken(plan);
  const byMode = (count: (mode: ProgramMode) => number) =>
    Object.fromEntries(programs.map((mode) => [mode, count(mode)])) as Partial<Record<ProgramMode, number>>;
  const launches = byMode((mode) => launchesOf(scheduled.listings[mode]!));
  const predict = (count: number, mode: ProgramMode) => predictSeconds(count, launches[mode]!, cost);
  const first = programs[0]!;
  const prediction = {
    dense: predict(bytes.dense, "exact"),
    fast: predict(bytes.fast, first),
    slow: predict(bytes.slow, first),
  };
  return {
    gsic: version,
    name: plan.graph.name,
    family: plan.graph.family,
    config,
    model: { source: model.weights.source, fingerprint: model.fingerprint },
    mode: modes[0]!,
    modes,
    targets: code.map(({ target }) => target.name),
    device,
    context: plan.graph.context,
    text_unavailable: model.tokenizerProblem,
    chat: chatReport(model.chat),
    calibration,
    search,
    ...(storage && { storage }),
    bytes_per_token: bytes,
    predicted_seconds_per_token: {
      dense: prediction.dense.total,
      fast: prediction.fast.total,
      slow: prediction.slow.total,
    },
    prediction,
    launches_per_token: launches,
    launches_per_layer: byMode((mode) => launchesPerLayer(scheduled.listings[mode]!)),
    cache: cacheFacts(plan),
    linears: [...plan.linears.values()].map((linear) => {
      const { layer, input } = linearById(plan.graph, linear.linear);
      return { ...linear, layer, input };
    }),
    kernels: kernelFacts(scheduled, code),
    tuning: isTunable(device) ? tuning : null,
    self_check: check,
    evaluation: null,
    speed: null,
    launch_times: null,
  };
}

function cacheFacts({ graph }: Plan): Report["cache"] {
  return {
    types: cacheTypesOf(graph),
    bytes_per_position: bytesPerPosition(graph),
    dense_bytes_per_position: bytesPerPosition(withCache(graph, "f32")),
  };
}

function kernelFacts({ kernels }: Schedule, code: readonly TargetCode[]): Report["kernels"] {
  return kernels.map(({ symbol, summary, launch }, index) => ({
    symbol,
    summary,
    launch,
    resources: resourcesOf(code, index),
  }));
}

function chatReport(chat: Model["chat"]): Report["chat"] {
  return chat && { template: buildFiles.chatTemplate, tokens: chat.tokens, end_ids: chat.endIds };
}

/** What a build says of its divisions; `out` is the folder that it goes to. */
export function tuningReport(
  divisions: Schedule["divisions"],
  tuning: Tuning | null,
  out: string,
): TuningReport {
  const measured = new Map(tuning?.shapes.map((shape) => [shapeKey(shape), shape]));
  const distinct = new Map(divisions.flat().map((division) => [shapeKey(division), division]));
  const shapes = [...distinct].map(([key, { type, out: rows, d, matrices, splits }]) => {
    // A choice that the target's workgroups cannot make was left to the rule.
    const found = measured.get(key);
    const used = found?.splits === splits ? found : null;
    const by = used === null ? ("rule" as const) : ("measurement" as const);
    return { type, out: rows, d, matrices, splits, by, device: used?.device ?? null };
  });
  return { file: tuning === null ? null : relative(out, tuning.file), cost: tuning?.cost ?? null, shapes };
}

/** What a kernel takes of each target's device. */
function resourcesOf(code: readonly TargetCode[], kernel: number): Record<string, ResourceFacts> {
  const found = code.flatMap((one) => {
    const facts = one.kind === "objects" ? one.objects[kernel]!.resources : null;
    return facts === null ? [] : [[one.target.name, facts] as const];
  });
  return Object.fromEntries(found);
}

/** report.json. */
export function reportJson(report: Report): string {
  return `${JSON.stringify(report, writeForms, 2)}\n`;
}
