import { spawn } from "node:child_process";
import { copyFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { timesAlone, timesInStep } from "../bench/launch-times.js";
import { measureLaunches } from "../bench/launches.js";
import { launchesText } from "../bench/launches-text.js";
import { type BenchOptions, measureModes, measureScaling } from "../bench/modes.js";
import { measureStep } from "../bench/step.js";
import { stepText } from "../bench/step-text.js";
import { benchText, scalingText } from "../bench/text.js";
import { tune } from "../bench/tune.js";
import { tuneText } from "../bench/tune-text.js";
import { build as buildModel, inputsOf } from "../build.js";
import { type Built, configOf, modeOf, openBuild, readPlan, readProgram } from "../build-folder/open.js";
import { refuseOverwrite } from "../build-folder/publish.js";
import { collectStats } from "../calibrate/collect.js";
import { runTool } from "../cc/tool.js";
import { configuredForm, isConfigured, readConfig } from "../config/config.js";
import { targetsOf } from "../config/targets.js";
import { diffBuilds } from "../diff/diff.js";
import { diffText } from "../diff/text.js";
import { runChecks } from "../doctor/checks.js";
import { doctorText } from "../doctor/text.js";
import { evaluate as evaluateBuild } from "../evaluate/command.js";
import { deviceJson, deviceText } from "../inspect/device.js";
import { searchText } from "../inspect/search-text.js";
import { planDot, planJson, planTable } from "../inspect/table.js";
import { evaluationText, reportText } from "../inspect/text.js";
import { programOf } from "../ir/modes.js";
import type { Plan } from "../ir/plan.js";
import type { Mode } from "../ir/program.js";
import { openModel } from "../models/model.js";
import { makePlan } from "../passes/index.js";
import { auditWeights } from "../read/weights-audit.js";
import type { Report } from "../report/report.js";
import { type ServeOptions, serve as serveBuild } from "../serve/command.js";
import { exitCodes, GsicError, messageOf } from "../support/errors.js";
import { terminalProgress } from "../support/progress.js";
import { replaceFile } from "../support/replace-file.js";
import { version } from "../support/version.js";
import { type Measured, recordMeasured } from "./record.js";

interface Json {
  readonly json?: boolean;
}

/** `gsic build`. */
export async function build(
  input: string,
  options: Json & { out?: string; target?: string[]; mode?: Mode; dump?: string },
): Promise<void> {
  const { out, report } = await buildModel({
    input,
    out: options.out,
    targets: options.target,
    mode: options.mode,
    dump: options.dump,
    progress: terminalProgress(),
  });
  print(options.json ? JSON.stringify({ out, ...report }) : reportText(report, out));
}

/** `gsic calibrate`. */
export async function calibrate(input: string, options: Json & { out: string }): Promise<void> {
  const progress = terminalProgress();
  const config = readConfig(input);
  const out = resolve(options.out);
  refuseOverwrite(out, inputsOf(config));
  const model = await openModel(config, progress.stage("Reading the model"));
  try {
    auditWeights(model.weights, progress.stage("Checking the weights"));
    const { stats } = await collectStats(model, config, targetsOf(config.target.names), progress);
    await replaceFile(out, (beside) => copyFile(stats.file, beside), {
      code: "output-unwritable",
      hint: "choose a place that can be written with --out",
    });
    progress.finish();
    const { tokens, origin } = stats;
    print(
      options.json ? JSON.stringify({ out, tokens, origin, model: stats.model }) : `${out}: ${tokens} tokens`,
    );
  } finally {
    model.weights.close();
  }
}

/** `gsic inspect`. */
export async function inspect(
  path: string,
  options: Json & { dot?: boolean; html?: string; onnx?: string },
): Promise<void> {
  const built = /\.(toml|ts)$/.test(path) ? null : openBuild(path);
  const plan = path.endsWith(".toml") ? await planOfConfig(path) : await planOfBuild(built, path);
  if (options.html !== undefined || options.onnx !== undefined) {
    const { writeInspected } = await import("./inspect-files.js");
    print((await writeInspected(path, built, plan, options)).join("\n"));
  } else if (options.json) {
    const build = built === null ? {} : { build: deviceJson(built.report, readProgram(built)) };
    print(JSON.stringify({ ...planJson(plan, built?.report.search), ...build }));
  } else if (options.dot) print(planDot(plan));
  else if (built === null) print(planTable(plan));
  else print([planTable(plan), ...buildTexts(built.report)].join("\n\n"));
}

/** `gsic diff`. */
export function diff(first: string, second: string, options: Json): void {
  const found = diffBuilds(openBuild(first), openBuild(second));
  print(options.json ? JSON.stringify(found) : diffText(found));
}

/** What a build knows beside its plan. */
function buildTexts(report: Report): string[] {
  const search = report.search === null ? [] : [searchText(report.search).join("\n")];
  return report.device === "cpu" ? search : [...search, deviceText(report)];
}

async function planOfConfig(path: string): Promise<Plan> {
  const config = readConfig(path);
  const model = await openModel(config, () => {});
  model.weights.close();
  const { device } = targetsOf(config.target.names)[0]!;
  if (config.quality.mode !== "exact" && !isConfigured(config.plan))
    process.stderr.write(
      "The planner chooses forms when the model is built; inspect the build to see them.\n",
    );
  return makePlan(model.graph, { options: configuredForm(config.plan), device });
}

async function planOfBuild(built: Built | null, path: string): Promise<Plan> {
  return (await readPlan(built === null ? path : join(built.folder, "graph.ts"))).plan;
}

/** `gsic run`: the build's own executable, so that what is shown is what is shipped. */
export async function run(
  path: string,
  options: Json & {
    prompt?: string;
    ids?: number[];
    tokens: number;
    mode?: Mode;
    temperature: number;
    topK?: number;
    topP?: number;
    seed?: number;
    threads?: number;
  },
): Promise<void> {
  const built = openBuild(path);
  const mode = modeOf(built, options.mode);
  if (options.prompt === undefined && options.ids === undefined)
    throw usage("prompt-missing", "there is no prompt", "give --prompt with a text, or --ids with token ids");
  const optional = {
    ids: options.ids?.join(),
    "top-k": options.topK,
    "top-p": options.topP,
    seed: options.seed,
    threads: options.threads,
  };
  const settings = Object.entries({
    tokens: options.tokens,
    temperature: options.temperature,
    mode,
    ...optional,
  });
  const args = settings.flatMap(([name, value]) => (value === undefined ? [] : [`--${name}`, String(value)]));
  if (options.json) args.push("--json");
  const prompt = options.prompt === undefined ? [] : ["--", options.prompt];
  const child = spawn(built.executable, [...args, ...prompt], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  process.exitCode = await new Promise<number>((done, failed) => {
    child.on("error", (cause) => {
      const hint = "build it again: gsic build <model.toml>";
      const details = { category: "environment", code: "build-incomplete", where: built.executable } as const;
      failed(new GsicError({ ...details, message: messageOf(cause), hint, cause }));
    });
    child.on("close", (code) => done(code ?? 1));
  });
}

/** `gsic logits`. */
export async function logits(
  path: string,
  options: { ids: number[]; mode?: Mode; out: string },
): Promise<void> {
  const built = openBuild(path);
  const mode = modeOf(built, options.mode);
  refuseOverwrite(resolve(options.out), [built.bundle, built.executable, join(built.folder, "report.json")]);
  const folder = await mkdtemp(join(tmpdir(), "gsic-logits-"));
  try {
    const file = join(folder, "ids");
    await writeFile(file, Int32Array.from(options.ids));
    await runTool([
      "logits",
      built.bundle,
      "--mode",
      mode,
      "--ids-file",
      file,
      "--out",
      resolve(options.out),
    ]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** `gsic eval`. */
export async function evaluate(path: string, options: Json & { text?: string; mode?: Mode }): Promise<void> {
  const progress = terminalProgress();
  const built = openBuild(path);
  const mode = modeOf(built, options.mode);
  const config = readConfig(configOf(built));
  const model = await openModel(config, () => {});
  try {
    const { bundle, report } = built;
    const evaluation = await evaluateBuild({
      bundle,
      report,
      config,
      model,
      mode,
      text: options.text,
      progress,
    });
    progress.finish();
    // What was measured on other texts, or of another mode, is no figure of the build.
    if (options.text === undefined && mode === report.mode) await record(built, { evaluation });
    print(options.json ? JSON.stringify(evaluation) : evaluationText(evaluation));
  } finally {
    model.weights.close();
  }
}

/** `gsic bench`: the whole step; with --launches each launch of it; with --tune how projections are best divided. */
export async function bench(
  path: string,
  options: Json & {
    tokens: number;
    repeat: number;
    prompt: number;
    threads?: number;
    scaling?: boolean;
    mode?: Mode;
    launches?: boolean;
    tune?: string | true;
    candidates?: number[];
  },
): Promise<void> {
  const built = openBuild(path);
  if (options.launches && options.tune !== undefined)
    throw usage(
      "bench-options",
      "--launches and --tune measure different things",
      "give one of them at a time",
    );
  if (options.candidates !== undefined && options.tune === undefined)
    throw usage("bench-options", "--candidates is what --tune tries", "add --tune, or leave it out");
  const { repeat, mode } = options;
  if (mode !== undefined && !options.launches)
    throw usage("bench-options", "gsic bench measures every mode", "leave --mode out, or add --launches");
  if (options.launches) return benchLaunches(built, options);
  if (options.tune !== undefined) {
    const progress = terminalProgress();
    const file = options.tune === true ? null : options.tune;
    const measured = await tune(built, { file, splits: options.candidates, repeat, progress });
    progress.finish();
    print(options.json ? JSON.stringify(measured) : tuneText(measured));
    return;
  }
  const { tokens, prompt, threads } = options;
  const { measured, prompts } = await measureModes(built, { tokens, repeat, prompt, threads });
  const scaling =
    options.scaling && built.report.device === "cpu"
      ? await measureScaling(built, { tokens, repeat, prompt }, measured)
      : null;
  await record(built, { speed: measured });
  print(
    options.json
      ? JSON.stringify({ ...measured, scaling }, null, 2)
      : [benchText(measured, prompts), ...(scaling === null ? [] : [scalingText(scaling)])].join("\n"),
  );
}

/** `gsic bench --launches`: on a CPU in the step, in all modes; on a GPU alone, in one. */
async function benchLaunches(built: Built, options: Json & BenchOptions & { mode?: Mode }): Promise<void> {
  const { repeat, mode } = options;
  const progress = terminalProgress();
  const listener = progress.stage("Measuring every launch");
  if (built.report.device === "cpu") {
    const shown = programOf(modeOf(built, mode));
    const measured = await measureStep(built, options, listener);
    progress.finish();
    await record(built, { launch_times: timesInStep(measured) });
    print(options.json ? JSON.stringify(measured) : stepText(measured, shown));
    return;
  }
  const measured = await measureLaunches(built, { mode, repeat, progress: listener });
  progress.finish();
  await record(built, { launch_times: timesAlone(measured, readProgram(built).modes[measured.mode]!) });
  print(options.json ? JSON.stringify(measured) : launchesText(measured));
}

async function record(built: Built, measured: Measured): Promise<void> {
  const problem = await recordMeasured(built, measured);
  if (problem !== null) process.stderr.write(`gsic: ${problem}\n`);
}

/** `gsic serve`: prints where, once requests are taken. */
export async function serve(path: string, options: Json & ServeOptions): Promise<void> {
  await serveBuild(openBuild(path), options, (address) => {
    const { url, model, mode, target, chat } = address;
    const what = `${model} (${mode}, ${target}${chat ? "" : ", no chat template"})`;
    print(options.json ? JSON.stringify(address) : `${what} is served at ${url}/v1; Ctrl-C stops`);
  });
}

/** `gsic doctor`: ends with the code of a missing tool if something that is needed is. */
export async function doctor(options: Json): Promise<void> {
  const checks = await runChecks();
  const ok = checks.every(({ verdict }) => verdict !== "broken");
  print(options.json ? JSON.stringify({ gsic: version, ok, checks }) : doctorText(checks));
  if (!ok) process.exitCode = exitCodes.environment;
}

function usage(code: string, message: string, hint: string): GsicError {
  return new GsicError({ category: "usage", code, message, hint });
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
