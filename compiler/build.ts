import { existsSync, realpathSync, statSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import { bindingsText } from "./build-folder/bindings.js";
import { recordChecksums } from "./build-folder/checksums.js";
import { Dump } from "./build-folder/dump.js";
import { reportJson, reportOf, tuningReport } from "./build-folder/make-report.js";
import { Built, readPlan } from "./build-folder/open.js";
import { copyProducts } from "./build-folder/products.js";
import { checkOutput, publish, type Resumable } from "./build-folder/publish.js";
import { writeSources } from "./build-folder/sources.js";
import { Algebra } from "./calibrate/algebra.js";
import { Factors } from "./calibrate/factors.js";
import { RoundedMatrices } from "./calibrate/rounded.js";
import { checkTexts } from "./calibrate/text.js";
import { compileFor, hasCompiler, prepareRuntime, type TargetCode } from "./cc/index.js";
import { targetsFor } from "./cc/machine.js";
import { specialisingText } from "./cc/specialising.js";
import { roomForCheck, selfCheck } from "./check/check.js";
import { buildFiles, namedFiles } from "./config/build-files.js";
import { withCacheOf } from "./config/cache.js";
import { type Config, readConfig } from "./config/config.js";
import { commonTarget } from "./config/devices.js";
import { isCpu, type Target } from "./config/target.js";
import { type Tuning, tuningOf, withMeasuredCost, withTuning } from "./config/tuning.js";
import { modelFile } from "./export/model-file.js";
import { printPlan } from "./graph-text/print.js";
import { isDense } from "./ir/forms.js";
import { modesOf } from "./ir/modes.js";
import type { Plan } from "./ir/plan.js";
import type { Kernel, Mode, ProgramMode } from "./ir/program.js";
import { type Model, openModel } from "./models/model.js";
import { fileIdentity, journalOf, writeModelBundle } from "./pack/assemble.js";
import { requireRoom } from "./pack/space.js";
import { type FactorSource, noFactors } from "./pack/weights.js";
import { isHubSource } from "./read/hub.js";
import { auditWeights } from "./read/weights-audit.js";
import type { Report } from "./report/report.js";
import type { SearchReport } from "./report/search.js";
import type { StorageReport } from "./report/storage.js";
import { schedule } from "./schedule/program.js";
import { type Calibration, decide } from "./search/decide.js";
import { KeptFactors } from "./search/kept-factors.js";
import { withStorage } from "./search/storage.js";
import type { Progress } from "./support/progress.js";

/** What is built, for which targets, and where to. */
interface BuildOptions {
  /** Path of a model.toml, or of the graph.ts of an earlier build. */
  readonly input: string;
  /** Output folder; default `build/<name>` in the working folder. */
  readonly out?: string | undefined;
  readonly targets?: readonly string[] | undefined;
  readonly mode?: Mode | undefined;
  /** Folder that receives what the build is after every stage, as text. */
  readonly dump?: string | undefined;
  readonly progress: Progress;
}

/** Builds a model, from model.toml or graph.ts to a folder that holds an executable; returns what the report says. */
export async function build(options: BuildOptions): Promise<{ out: string; report: Report }> {
  const { progress } = options;
  const edited = options.input.endsWith(".ts") ? await readPlan(options.input) : null;
  const written = readConfig(
    edited === null ? options.input : resolve(dirname(options.input), edited.header.config),
  );
  await prepareRuntime(["tool"], progress);
  const named = await targetsFor(options.targets ?? written.target.names);
  const config = edited === null ? withCacheOf(written, options.mode, named[0]!, progress) : written;
  const mode = options.mode ?? modeOfInput(config, edited?.plan ?? null);
  const tuning = tuningOf(config, named[0]!);
  const targets = named.map((target) => withMeasuredCost(target, tuning?.cost ?? null));
  const out = followLink(resolve(options.out ?? join("build", config.model.name)));
  checkOutput(out, inputsOf(config));
  const opened = await openModel(config, progress.stage("Reading the model"));
  try {
    checkWeights(opened, progress);
    const { model, storage } = await withStorage(opened, config, targets, progress);
    checkTexts(config, model.tokenizer);
    const dump = options.dump === undefined ? null : dumpOf(options.dump, config, model);
    const settings = { config, mode, targets, model, dump, progress };
    const algebra = new Algebra();
    const kept = await KeptFactors.open();
    const rounded = await RoundedMatrices.open(model.weights, algebra);
    try {
      const { plan, search, calibration } = await decide({
        ...settings,
        input: options.input,
        edited,
        algebra,
        kept,
        rounded,
        file: () => modelFile(model),
      });
      const factors = calibration && new Factors(plan, model.weights, calibration.stats, algebra);
      factors?.check();
      const make = (staging: string) =>
        makeBuild({
          ...settings,
          staging,
          out,
          tuning,
          plan,
          search,
          storage,
          factors,
          packed: factors && kept.of(factors),
          factorsFrom: calibration && fileIdentity(calibration.stats.file),
          calibration: calibration && calibrationOf(calibration),
        });
      const report = await publish(out, make, resumableBundle(namedFiles(config.model.name).bundle));
      return { out, report };
    } finally {
      await algebra.close();
      await kept.close();
      await rounded.close();
    }
  } finally {
    opened.weights.close();
    progress.finish();
  }
}

/** Throws `weights-not-finite` (category data), and warns of what was never trained, or is widened. */
function checkWeights({ weights }: Model, progress: Progress): void {
  for (const tensor of auditWeights(weights, progress.stage("Checking the weights")))
    progress.warn(`all elements of ${JSON.stringify(tensor)} are equal: was it ever trained?`);
  for (const [why, [first, ...more]] of weights.widened())
    progress.warn(
      `32 bits a weight in memory: ${first}${more.length > 0 ? ` and ${more.length} more` : ""}, since ${why}`,
    );
}

/** The configured mode; an edited graph that is not dense has no exact mode. */
function modeOfInput({ quality }: Config, edited: Plan | null): Mode {
  const rewritten = edited !== null && !isDense(edited);
  return rewritten && quality.mode === "exact" ? "bounded" : quality.mode;
}

function dumpOf(folder: string, { file }: Config, { fingerprint }: Model): Dump {
  return new Dump(folder, { config: relative(folder, file), fingerprint });
}

/** The folder that a symbolic link leads to: the build goes there, and the link stays. */
function followLink(out: string): string {
  return existsSync(out) ? realpathSync(out) : out;
}

/** Files and folders that a build reads. */
export function inputsOf(config: Config): string[] {
  const { model, calibration, heldout, target } = config;
  const tuning = target.tuning === null ? [] : [target.tuning];
  const source = isHubSource(model.source) ? [] : [model.source];
  const stats = calibration.stats === null ? [] : [calibration.stats];
  return [config.file, ...source, ...stats, ...tuning, ...calibration.text, ...heldout.text];
}

/** What the report says of where the statistics come from. */
function calibrationOf({ stats, tokens }: Calibration): Report["calibration"] {
  return tokens === null
    ? { tokens: stats.tokens, origin: { kind: "file", file: stats.file } }
    : { tokens: tokens.ids.length, origin: tokens.origin };
}

interface Job {
  readonly staging: string;
  readonly out: string;
  readonly config: Config;
  readonly mode: Mode;
  readonly targets: readonly Target[];
  readonly tuning: Tuning | null;
  readonly model: Model;
  readonly plan: Plan;
  readonly search: SearchReport | null;
  readonly storage: StorageReport | null;
  readonly factors: FactorSource | null;
  /** The same; what the planner has made at few bits is not made again. */
  readonly packed: FactorSource | null;
  /** What stands for the statistics that the factors are made from. */
  readonly factorsFrom: string | null;
  readonly calibration: Report["calibration"];
  readonly dump: Dump | null;
  readonly progress: Progress;
}

/** Fills the staging folder. */
async function makeBuild(job: Job): Promise<Report> {
  const { staging, model, plan, targets, progress, config } = job;
  const modes = modesOf(job.mode);
  const programs: readonly ProgramMode[] = job.mode === "exact" ? ["exact"] : ["bounded", "exact"];
  const shapedBy = withTuning(commonTarget(targets), job.tuning);
  const screenedHead = config.model.head === "screened";
  const scheduled = schedule(plan, programs, shapedBy, { linears: true, screenedHead });
  if (screenedHead && Object.values(scheduled.programs).every(({ screened }) => screened === undefined))
    progress.warn(nothingScreened);
  await job.dump?.schedule(scheduled);
  const room = roomForCheck({ plan, scheduled, modes: programs, shapedBy });
  await requireRoom(staging, scheduled.weights.bytes + room + roomForTheRest, job.out);
  const { kernels } = scheduled;
  const code = await compileAll(kernels, targets, progress);
  const name = config.model.name;
  const bundle = join(staging, namedFiles(name).bundle);
  const content = { model, plan, schedule: scheduled, modes, code, factors: job.packed ?? noFactors };
  const weightsBegin = await writeModelBundle(bundle, content, {
    progress: progress.stage("Packing the weights"),
    resume: { identity: job.factorsFrom ?? "" },
  });
  await writeSources(staging, scheduled, code);
  const header = { config: relative(job.out, config.file), fingerprint: model.fingerprint };
  await writeFile(join(staging, buildFiles.graph), printPlan(plan, header, job.search?.cache?.verdict));
  if (model.chat !== null) await writeFile(join(staging, buildFiles.chatTemplate), model.chat.template);
  const { vocabulary, context } = plan.graph;
  await writeFile(join(staging, buildFiles.bindings), bindingsText({ name, vocabulary, context, modes }));
  await copyProducts(staging, name, progress);
  const checked = {
    bundle,
    weightsBegin,
    model,
    plan,
    factors: job.factors ?? noFactors,
    modes: programs,
    targets,
    shapedBy,
    scheduled,
  };
  const check = await selfCheck({ ...checked, progress });
  const report = reportOf({
    config: header.config,
    plan,
    search: job.search,
    storage: job.storage,
    scheduled,
    model,
    modes,
    programs,
    code,
    check,
    calibration: job.calibration,
    tuning: tuningReport(scheduled.divisions, job.tuning, job.out),
  });
  await writeFile(join(staging, buildFiles.report), reportJson(report));
  // Layout and templates are loaded here alone: no other command needs them.
  const { reportHtmlOf } = await import("./report-html/page.js");
  await writeFile(join(staging, buildFiles.page), reportHtmlOf(new Built(staging, report), plan));
  await rm(journalOf(bundle));
  await recordChecksums(staging);
  return report;
}

/** The kernels of every target; says where they are not made for the model's shapes. */
async function compileAll(
  kernels: readonly Kernel[],
  targets: readonly Target[],
  progress: Progress,
): Promise<TargetCode[]> {
  const code: TargetCode[] = [];
  const verb = targets.every(isCpu) && !(await hasCompiler()) ? "Filling in" : "Compiling";
  for (const target of targets) {
    const update = progress.stage(`${verb} ${kernels.length} kernels for ${target.name}`);
    code.push(await compileFor(kernels, target, (done) => update(done, kernels.length)));
  }
  if (code.some((one) => one.kind === "library" && !one.specialised)) progress.warn(unspecialised);
  return code;
}

const unspecialised =
  `no C++ compiler is found, so the build uses kernels for all shapes: the same results, and ${specialisingText()}; ` +
  "install one (Debian: apt-get install g++) and build again for kernels of its own";

const nothingScreened =
  "the head is read whole: it is screened for CPUs alone, and where it is a matrix of F32, F16, BF16 or Q8_0 without a bias";

/** Bytes of a build besides its weights: programs, kernels, code. */
const roomForTheRest = 64 << 20;

/** Bytes of a bundle from which an interrupted build leaves it for the next one. */
const leastKept = 256 << 20;

/** What a build leaves for the next one when it is interrupted: its bundle, and how far it is written. */
function resumableBundle(name: string): Resumable {
  const names = [name, journalOf(name)];
  return {
    names,
    isWorthKeeping: (staging) => {
      const [bundle, journal] = names.map((one) => statSync(join(staging, one), { throwIfNoEntry: false }));
      return journal !== undefined && bundle !== undefined && bundle.size >= leastKept;
    },
  };
}
