import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Scaling } from "../bench/modes.js";
import type { StepMeasurements } from "../bench/step.js";
import { relativeError } from "../check/check.js";
import { buildFiles, namedFiles } from "../config/build-files.js";
import type { BuildDiff } from "../diff/diff.js";
import type { PlanJson } from "../inspect/table.js";
import type { WrittenForm } from "../ir/forms.js";
import { readTensors } from "../read/safetensors-write.js";
import type { Evaluation, TextQuality } from "../report/evaluation.js";
import type { Measurements } from "../report/measurements.js";
import type { Report } from "../report/report.js";
import { packageRoot } from "../support/paths.js";
import { CommandLine, differences, filesBelow, type Outcome, start } from "../testing/cli.js";
import { coldCache } from "../testing/cold-cache.js";
import { fixturesFolder } from "../testing/fixtures.js";

const work = mkdtempSync(join(tmpdir(), "gsic-cli-"));
const path = (...parts: string[]): string => join(work, ...parts);
const example = join(packageRoot, "examples/tiny-gpt2");
let gsic: CommandLine;

beforeAll(() => {
  gsic = new CommandLine();
});

afterAll(() => {
  rmSync(work, { recursive: true, force: true });
});

/** What `--json` prints: the report, with forms as people write them. */
type BuildJson = Omit<Report, "linears"> & {
  readonly out: string;
  readonly linears: readonly (Omit<Report["linears"][number], "form"> & { readonly form: WrittenForm })[];
};

interface RunJson {
  readonly mode: string;
  readonly prompt_ids: number[];
  readonly ids: number[];
  readonly text: string;
  readonly tokens_per_second: number;
  readonly drafts: { readonly proposed: number; readonly accepted: number };
}

/** A new folder with a copy of a model fixture and a model.toml. */
function project(name: string, settings = "", fixture = "llama-bf16"): string {
  mkdirSync(path(name), { recursive: true });
  cpSync(join(fixturesFolder, fixture), path(name, "model"), { recursive: true });
  writeFileSync(path(name, "model.toml"), `[model]\nname = "small"\nsource = "model"\n${settings}`);
  return path(name);
}

/** The paper's form for every linear but the head. */
const configuredPlan = '[plan]\nforms = ["gated"]\nk = [96]\nepsilon = [0.1]\n';

/** examples/tiny-gpt2/model.toml with absolute paths, less text and a configured plan, and other statistics on request. */
function tinyToml(name: string, calibration = `text = ["${example}/calibration.txt"]`): string {
  const text = readFileSync(join(example, "model.toml"), "utf8")
    .replace('source = "model"', `source = "${example}/model"`)
    .replace('text = ["calibration.txt"]', calibration)
    .replace('text = ["heldout.txt"]', `text = ["${example}/heldout.txt"]`)
    .replace("tokens = 8192", "tokens = 2048")
    .replace("tokens = 4096", "tokens = 2048");
  writeFileSync(path(name), `${text}\n${configuredPlan}`);
  return path(name);
}

const gatedSettings = `[calibration]\ntokens = 256\n[quality]\nmode = "bounded"\n[plan]\nforms = ["gated"]\nk = [16]\nepsilon = [0.1]\n`;

/** Compiles every emitted kernel by itself. */
async function compileSources(kernels: string): Promise<void> {
  const sources = readdirSync(kernels).filter((name) => name.endsWith(".cpp"));
  expect(sources.length).toBeGreaterThan(5);
  for (const source of sources) {
    const args = [
      "-std=c++17",
      "-I",
      join(kernels, "include"),
      "-c",
      join(kernels, source),
      "-o",
      "/dev/null",
    ];
    expect(await start(process.env.CXX ?? "g++", args).outcome, source).toMatchObject({ code: 0 });
  }
}

describe("a small model without tokenizer", () => {
  test("is built, checked, inspected and run in exact mode", async () => {
    const folder = project("exact");
    const built = (await gsic.json(["build", "model.toml", "--out", "out"], { cwd: folder })) as BuildJson;
    expect(built).toMatchObject({
      out: path("exact/out"),
      mode: "exact",
      modes: ["exact"],
      calibration: null,
    });
    expect(built.self_check.exactError).toBeLessThan(1e-5);
    const files = filesBelow(path("exact/out")).filter((name) => !name.startsWith("kernels/"));
    const { chatTemplate: _, kernels: __, signature: ___, ...always } = buildFiles;
    expect(files.sort()).toEqual([...Object.values(always), ...Object.values(namedFiles("small"))].sort());
    expect(readdirSync(folder).sort()).toEqual(["model", "model.toml", "out"]);
    await compileSources(path("exact/out/kernels"));

    const { tensors } = await readTensors(join(folder, "model/expected.safetensors"));
    const ids = Array.from(tensors.get("ids")!.data as Int32Array).join();
    expect(await gsic.run(["logits", "out", "--ids", ids, "--out", "l"], { cwd: folder })).toMatchObject({
      code: 0,
    });
    const logits = (await readTensors(path("exact/l"))).tensors.get("logits")!;
    expect(logits.shape).toEqual(tensors.get("logits")!.shape);
    const expected = tensors.get("logits")!.data as Float32Array;
    expect(relativeError(logits.data as Float32Array, expected)).toBeLessThan(1e-4);

    const native = await start(path("exact/out/small"), ["--ids", "1,2,3", "--tokens", "4", "--json"])
      .outcome;
    expect(JSON.parse(native.stdout)).toMatchObject({ mode: "exact", prompt_ids: [1, 2, 3] });
    const byIds = await gsic.run(["run", path("exact/out"), "--ids", "1,2,3", "--tokens", "4", "--json"]);
    expect(JSON.parse(byIds.stdout)).toMatchObject({ ids: JSON.parse(native.stdout).ids });
    expectFailure(await gsic.run(["run", path("exact/out")]), 2, "prompt-missing");
    expectFailure(await gsic.run(["run", path("exact/out"), "--prompt", "a"]), 2, "without a tokenizer");
    expectFailure(
      await gsic.run(["run", path("exact/out"), "--prompt", "a", "--mode", "bounded"]),
      2,
      "mode-unavailable",
    );
    expectFailure(
      await gsic.run(["eval", path("exact/out"), "--text", path("exact/model.toml")]),
      3,
      "tokenizer-missing",
    );
  });

  test("samples its own calibration text; the bytes are the same whatever is cached; two builds at once", async () => {
    const folder = project("sampled", gatedSettings);
    const args = ["build", "model.toml", "--target", "cpu-portable", "--out"];
    // Without kernels in the cache they are compiled, so that there is time for a second build.
    const env = { GSIC_CACHE: await coldCache(path("cache")) };
    const cold = gsic.start([...args, "a"], { cwd: folder, env });
    await appears(() => readdirSync(folder).includes(".a.staging"), cold.outcome);
    // However long the second takes to begin, the first is not done by then.
    cold.child.kill("SIGSTOP");
    expectFailure(await gsic.run([...args, "a"], { cwd: folder }), 2, "output-busy", path("sampled/a"));
    cold.child.kill("SIGCONT");
    const first = await cold.outcome;
    expect(first.code, first.stderr).toBe(0);
    expect(first.stdout).toContain(
      "calibration 256 tokens, sampled from the model itself (temperature 1, seed 1)",
    );
    const built = (await gsic.json([...args, "b"], { cwd: folder })) as BuildJson;
    expect(built.calibration).toEqual({
      tokens: 256,
      origin: { kind: "sampled", seed: 1, temperature: 1 },
    });
    expect(differences(path("sampled/a"), path("sampled/b"))).toEqual([]);
  });

  test("an interrupted or killed build leaves the previous one, and the next one clears up", async () => {
    const folder = project("killed");
    const args = ["build", "model.toml", "--out", "out"];
    expect((await gsic.run(args, { cwd: folder })).code).toBe(0);
    cpSync(path("killed/out"), path("kept"), { recursive: true });
    const settled = ["model", "model.toml", "out"];
    for (const signal of ["SIGTERM", "SIGINT", "SIGKILL"] as const) {
      // Without kernels in the cache, the build is still compiling when the signal comes.
      const env = { GSIC_CACHE: await coldCache(path(`cache-${signal}`)) };
      const { child, outcome } = gsic.start(args, { cwd: folder, env });
      await appears(() => readdirSync(folder).includes(".out.staging"), outcome);
      child.kill(signal);
      expect((await outcome).code).toBe(signal);
      expect(differences(path("killed/out"), path("kept"))).toEqual([]);
      const left = signal === "SIGKILL" ? [".out.lock", ".out.staging", ...settled] : settled;
      expect(readdirSync(folder).sort()).toEqual(left);
    }
    expect((await gsic.run(args, { cwd: folder })).code).toBe(0);
    expect(readdirSync(folder).sort()).toEqual(settled);
    expect(differences(path("killed/out"), path("kept"))).toEqual([]);
  });
});

test("examples/tiny-gpt2, planned: what the planner found is printed, inspected and evaluated", async () => {
  const settings = '[plan]\nforms = ["dense", "tiered"]\nbits = [3, 5]\nrank = [0]\n';
  const toml = readFileSync(tinyToml("planned.toml"), "utf8").replace(configuredPlan, settings);
  writeFileSync(path("planned.toml"), toml);
  const shown = await gsic.run(["build", path("planned.toml"), "--out", path("planned")]);
  expect(shown, shown.stderr).toMatchObject({ code: 0 });
  const table = (await gsic.run(["inspect", path("planned")])).stdout;
  for (const text of [shown.stdout, table]) {
    for (const line of text.split("\n")) expect(line.length, line).toBeLessThanOrEqual(100);
    expect(text).toMatch(/^The plan reads \d+\.\d % of the dense bytes/m);
    expect(text).toMatch(/^\* planned +\d+\.\d % +\d+\.\d % /m);
    expect(text.match(/^ {2}nearest, [35] bits +\d/gm)).toHaveLength(2);
    expect(text).not.toContain("gate");
  }
  const plan = (await gsic.json(["inspect", path("planned")])) as PlanJson;
  const shares = plan.linears.map(({ search }) => search!.kl_share);
  expect(shares.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 9);
  for (const { search } of plan.linears)
    for (const { why } of search!.rejected) {
      expect(["slower", "dominated", "saves-too-little", "loses-too-much"]).toContain(why);
    }
  expect(plan.search!.frontier.filter(({ chosen }) => chosen)).toHaveLength(1);
  const evaluation = (await gsic.json(["eval", path("planned")])) as Evaluation;
  const { max_kl: most, heldout } = evaluation;
  expect(evaluation).toMatchObject({ planned: true, equation_six: null });
  expect(evaluation.within_max_kl).toBe(heldout!.kl.value <= most!);
  const { plan_fast: fast, plan_mean: mean } = evaluation.bytes_per_token;
  expect(mean).toBe(fast);
});

describe("examples/tiny-gpt2, bounded", () => {
  let report: BuildJson;

  beforeAll(async () => {
    const built = ["build", tinyToml("tiny.toml"), "--out", path("tiny"), "--dump", path("dump")];
    report = (await gsic.json(built)) as BuildJson;
  });

  test("leaves what it promises, and the same bytes again", async () => {
    expect(report).toMatchObject({ mode: "bounded", modes: ["bounded", "exact", "lossless"] });
    expect(report.linears.filter(({ form }) => form.kind === "gated")).toHaveLength(24);
    const origin = { kind: "text", files: [join(example, "calibration.txt")] };
    expect(report.calibration).toEqual({ tokens: 2048, origin });
    const shown = await gsic.run(["build", path("tiny.toml"), "--out", path("same")]);
    expect(shown, shown.stderr).toMatchObject({ code: 0 });
    expect(shown.stdout).toContain(`${path("same/tiny-gpt2")} "Once upon a time"`);
    expect(differences(path("tiny"), path("same"))).toEqual([]);
    const plans = ["01-share-inputs.ts", "02-choose-forms.ts", "03-account-bytes.ts"];
    const steps = ["04-steps-bounded.txt", "04-steps-exact.txt"];
    const programs = ["05-program-bounded.txt", "05-program-exact.txt"];
    expect(readdirSync(path("dump")).sort()).toEqual([...plans, ...steps, ...programs]);
    await compileSources(path("tiny/kernels"));
  });

  test("is measured in every mode from held-out prompts", async () => {
    const settings = ["--tokens", "12", "--repeat", "3", "--prompt", "10", "--scaling"];
    // What was measured is added to the build.
    cpSync(path("tiny"), path("measured"), { recursive: true });
    const measured = (await gsic.json(["bench", path("measured"), ...settings])) as Measurements & {
      scaling: Scaling[];
    };
    const { exact, bounded, lossless } = measured.modes;
    expect(lossless!.tokens).toBeGreaterThan(20);
    expect(lossless!.tokens_as_exact).toBe(lossless!.tokens);
    expect(lossless!.bytes_per_token).toBeNull();
    expect(lossless!.drafts!.proposed).toBeGreaterThan(0);
    expect(exact!.drafts).toBeNull();
    expect(exact!.decode_ratio_to_exact).toEqual({ median: 1, mean: 1, least: 1, most: 1 });
    expect(bounded!.bytes_per_token).toBe(report.bytes_per_token.fast);
    // Four layers of [192, 192] x 4 and [768, 192] x 2.
    expect(measured.multiply_adds_per_prefill_token).toBe(4 * (4 * 192 * 192 + 2 * 768 * 192));
    expect(measured.scaling.map(({ threads }) => threads).at(-1)).toBe(measured.threads);
    const { code, stdout, stderr } = await gsic.run(["bench", path("measured"), ...settings]);
    expect(code, stderr).toBe(0);
    expect(stdout).toContain("3 prompts of 10 tokens (held-out text)");
    expect(measured.weights_in_huge_pages).toBeGreaterThanOrEqual(0);
    expect(measured.weights_in_huge_pages).toBeLessThanOrEqual(1);
    if (measured.multiply_adds_per_second) expect(stdout).toMatch(/prefill of \d+ tokens, multiply-adds/);
    for (const line of stdout.split("\n")) expect(line.length, line).toBeLessThanOrEqual(100);
  });

  test("times the launches of a token where they stand, in every mode that has a program", async () => {
    cpSync(path("tiny"), path("timed"), { recursive: true });
    const settings = ["--launches", "--tokens", "4", "--repeat", "2"];
    const measured = (await gsic.json(["bench", path("timed"), ...settings])) as StepMeasurements;
    expect(Object.keys(measured.modes).sort()).toEqual(["bounded", "exact"]);
    const { exact } = measured.modes;
    expect(exact!.launches).toHaveLength(report.launches_per_token.exact!);
    expect(exact!.launches.filter(({ weight_bytes }) => weight_bytes).length).toBeGreaterThan(10);
    const recorded = JSON.parse(readFileSync(path("timed/report.json"), "utf8")) as Report;
    expect(recorded.launch_times!.exact!.seconds).toHaveLength(report.launches_per_token.exact!);
    const { code, stdout, stderr } = await gsic.run(["bench", path("timed"), ...settings, "--mode", "exact"]);
    expect(code, stderr).toBe(0);
    expect(stdout).toContain("mode exact: each launch where it stands");
    expect(stdout).toContain("project_");
    for (const line of stdout.split("\n")) expect(line.length, line).toBeLessThanOrEqual(100);
  });

  test("runs: greedy text is the same every time, in each mode", async () => {
    const run = (...more: string[]) =>
      gsic.json([
        "run",
        path("tiny"),
        "--prompt",
        "Once upon a time",
        "--tokens",
        "40",
        ...more,
      ]) as Promise<RunJson>;
    const first = await run();
    expect(Object.keys(first)).toEqual(
      expect.arrayContaining(["mode", "prompt_ids", "ids", "text", "tokens_per_second"]),
    );
    expect(first.mode).toBe("bounded");
    expect(first.ids.length).toBeGreaterThan(0);
    const { tokens_per_second: speed, ...same } = first;
    expect(speed).toBeGreaterThan(0);
    expect(await run()).toMatchObject({ ids: same.ids, text: same.text, prompt_ids: same.prompt_ids });
    const exact = await run("--mode", "exact");
    expect(exact).toMatchObject({ mode: "exact", prompt_ids: same.prompt_ids });
    expect(await run("--temperature", "1", "--seed", "7")).toMatchObject({
      ids: (await run("--temperature", "1", "--seed", "7")).ids,
    });
    for (const more of [[], ["--temperature", "0.9", "--seed", "3"]]) {
      const drafted = await run("--mode", "lossless", ...more);
      const alone = await run("--mode", "exact", ...more);
      expect(drafted.ids).toEqual(alone.ids);
      expect(drafted.drafts.accepted).toBeGreaterThan(0);
      expect(alone.drafts.proposed).toBe(0);
    }
    const plain = await gsic.run(["run", path("tiny"), "--prompt", "Once upon a time", "--tokens", "40"]);
    expect(plain.stdout).toBe(`Once upon a time${first.text}\n`);
    const logits = async (mode: string) => {
      const ids = first.prompt_ids.join();
      await gsic.run(["logits", path("tiny"), "--ids", ids, "--mode", mode, "--out", path(`logits-${mode}`)]);
      return (await readTensors(path(`logits-${mode}`))).tensors.get("logits")!.data as Float32Array;
    };
    const error = relativeError(await logits("bounded"), await logits("exact"));
    expect(error).toBeGreaterThan(0);
    expect(error).toBeLessThan(0.1);
  });

  test("is evaluated on held-out text and, beside it, in sample", async () => {
    cpSync(path("tiny"), path("evaluated"), { recursive: true });
    const evaluation = (await gsic.json(["eval", path("evaluated")])) as Evaluation;
    for (const quality of [evaluation.heldout!, evaluation.calibration!]) {
      expect(quality.tokens).toBeGreaterThan(1000);
      for (const key of [
        "perplexity",
        "perplexity_ratio",
        "kl",
        "top1",
      ] as const satisfies (keyof TextQuality)[]) {
        const { value, low, high } = quality[key];
        expect(low).toBeLessThanOrEqual(value);
        expect(high).toBeGreaterThanOrEqual(value);
      }
      expect(Object.keys(quality.tiers.by_input)).toHaveLength(16);
      expect(quality.tiers.fast).toBeGreaterThan(0);
    }
    expect(evaluation.heldout!.kl.value).toBeLessThan(evaluation.max_kl!);
    expect(evaluation).toMatchObject({ planned: false, within_max_kl: true });
    for (const part of ["heldout", "calibration"] as const) {
      const { fast, middle, slow } = evaluation.tiers[part]!;
      expect(fast).toBe(evaluation[part]!.tiers.fast);
      expect(fast + middle + slow).toBeCloseTo(1, 12);
      const six = evaluation.equation_six![part]!;
      expect(six.linears).toBe(24);
      // Bases are read, whatever the gates decide.
      expect(six.speedup).toBeGreaterThan(six.bytes_speedup);
    }
    const { dense, plan_fast, plan_mean } = evaluation.bytes_per_token;
    expect(plan_fast).toBeLessThan(dense);
    expect(evaluation.pays).toBe(plan_mean / dense < 0.98);
    const exact = (await gsic.json(["eval", path("evaluated"), "--mode", "exact"])) as Evaluation;
    expect(exact.heldout).toMatchObject({
      kl: { value: 0 },
      top1: { value: 1 },
      perplexity_ratio: { value: 1 },
    });
    // Neither another mode nor another text is what the report has of the build.
    expect((JSON.parse(readFileSync(path("evaluated/report.json"), "utf8")) as Report).evaluation).toEqual(
      evaluation,
    );
    expect(readFileSync(path("evaluated/report.html"), "utf8")).toContain("Top-1 agreement, held-out");
    const changed = (await gsic.json(["diff", path("tiny"), path("evaluated")])) as BuildDiff;
    expect(changed).toMatchObject({ same: false, linears: { changed: [] }, kernels: { changed: [] } });
    expect(changed.quality.heldout_kl).toEqual([null, evaluation.heldout!.kl]);
    const shown = await gsic.run(["eval", path("evaluated")]);
    for (const word of ["held-out", "in-sample", "KL", "bootstrap"]) expect(shown.stdout).toContain(word);
    const overlap = await gsic.run(["eval", path("evaluated"), "--text", join(example, "calibration.txt")]);
    expectFailure(overlap, 3, "heldout-overlap", "calibration.txt: token 0");
  });

  test("is inspected as a table, as JSON and for Graphviz", async () => {
    const table = (await gsic.run(["inspect", path("tiny")])).stdout;
    expect(Math.max(...table.split("\n").map((line) => line.length))).toBeLessThanOrEqual(100);
    const plan = (await gsic.json(["inspect", path("tiny")])) as PlanJson;
    expect(plan.linears.map(({ linear }) => linear)).toEqual(report.linears.map(({ linear }) => linear));
    expect(plan.bytes_per_token).toEqual(report.bytes_per_token);
    const { build: _, ...alone } = plan as PlanJson & { build: unknown };
    expect(await gsic.json(["inspect", path("tiny.toml")])).toEqual(alone);
    expect((await gsic.run(["inspect", path("tiny"), "--dot"])).stdout).toMatch(/^digraph "tiny-gpt2" \{/);
  });

  test("is inspected as a page and for viewers of ONNX", async () => {
    const files = ["--html", path("page.html"), "--onnx", path("tiny.onnx")];
    const { code, stdout } = await gsic.run(["inspect", path("tiny"), ...files]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/page\.html: \d.*\n.*tiny\.onnx: \d/);
    expect(readFileSync(path("page.html"), "utf8")).toBe(readFileSync(path("tiny/report.html"), "utf8"));
    expect(readFileSync(path("tiny.onnx")).includes("GatedTiered")).toBe(false);
    expect(readFileSync(path("tiny.onnx")).includes("Gated")).toBe(true);
    const told = await gsic.json(["inspect", path("tiny"), "--onnx", path("tiny.onnx")]);
    expect(told).toEqual({ files: [{ file: path("tiny.onnx"), bytes: expect.any(Number) }] });
    const toml = await gsic.run(["inspect", path("tiny.toml"), "--html", path("none.html")]);
    expectFailure(toml, 2, "inspect-build-needed", "gsic build");
    const over = await gsic.run(["inspect", path("tiny"), "--html", path("tiny/graph.ts")]);
    expectFailure(over, 2, "output-is-input");
    const nowhere = await gsic.run(["inspect", path("tiny"), "--onnx", path("nowhere/x")]);
    expectFailure(nowhere, 4, "output-unwritable");
    expectFailure(await gsic.run(["diff", path("tiny"), path("nowhere")]), 2, "build-missing");
  });

  test("is rebuilt from graph.ts, as it is and edited", async () => {
    cpSync(path("tiny/graph.ts"), path("graph.ts"));
    const text = readFileSync(path("graph.ts"), "utf8").replace('"../tiny.toml"', '"./tiny.toml"');
    writeFileSync(path("graph.ts"), text);
    await gsic.json(["build", path("graph.ts"), "--out", path("again")]);
    expect(differences(path("tiny"), path("again"))).toEqual([]);
    const edited = text.replaceAll(
      /(linear\(layer1_mlp_norm, )gated\(\{ k: 96, epsilon: 0\.1 \}\)/g,
      "$1dense",
    );
    expect(edited).not.toBe(text);
    writeFileSync(path("graph.ts"), edited);
    const built = (await gsic.json(["build", path("graph.ts"), "--out", path("edited")])) as BuildJson;
    const dense = built.linears.filter(({ form }) => form.kind === "dense").map(({ linear }) => linear);
    expect(dense).toEqual(["layer1_up", "logits"]);
    expect(built.linears.find(({ linear }) => linear === "layer1_up")!.verdict).toContain(
      "edited in graph.ts",
    );
    expect(readFileSync(path("edited/graph.ts"), "utf8")).toContain("linear(layer1_mlp_norm, dense");
  });

  test("with a cache that rounds it is bounded, and its exact mode is as before", async () => {
    const source = JSON.stringify(join(example, "model"));
    const model = `[model]\nname = "tiny"\nsource = ${source}\n`;
    const texts = `[heldout]\ntext = [${JSON.stringify(join(example, "heldout.txt"))}]\n`;
    writeFileSync(path("auto.toml"), `${model}${texts}[plan]\nkv = "auto"\n`);
    const outcome = await gsic.run(["build", path("auto.toml"), "--out", path("kv")]);
    expect(outcome).toMatchObject({ code: 0 });
    expect(outcome.stderr).toContain("a cache that the planner chooses may round: the build is bounded");
    expect(outcome.stdout).toMatch(/The cache is int8: behind 255 tokens a\s+token reads/);
    expect(readFileSync(path("kv/graph.ts"), "utf8")).toContain("// The cache is int8: behind 255 tokens");
    expect(outcome.stdout).toContain("mode        bounded (the build has bounded, exact, lossless)");
    expect(outcome.stdout).toContain("cache       int8 in 4 layers");
    expect((await gsic.run(["inspect", path("kv")])).stdout).toContain("cache       int8 in 4 layers");
    const report = JSON.parse(readFileSync(path("kv/report.json"), "utf8")) as Report;
    const { types, bytes_per_position: bytes, dense_bytes_per_position: dense } = report.cache;
    expect(types).toEqual(["int8", "int8", "int8", "int8"]);
    expect(bytes).toBeLessThan(dense / 3);
    const run = async (build: string, mode: string) =>
      (await gsic.json(["run", path(build), "Once", "--mode", mode, "--tokens", "40"])) as RunJson;
    const exact = (await run("kv", "exact")).text;
    expect(exact).toBe((await run("tiny", "exact")).text);
    expect((await run("kv", "lossless")).text).toBe(exact);
    expect((await run("kv", "bounded")).ids).toHaveLength(40);
  });

  test("is not planned without held-out text", async () => {
    const text = readFileSync(path("tiny.toml"), "utf8");
    const free = text.slice(0, text.indexOf("[heldout]")) + text.slice(text.indexOf("[quality]"));
    writeFileSync(path("free.toml"), free.replace(configuredPlan, ""));
    const outcome = await gsic.run(["build", path("free.toml"), "--out", path("free")]);
    expectFailure(outcome, 2, "heldout-missing", "free.toml: heldout.text", "[heldout] text");
  });

  test("is built from statistics that were written before", async () => {
    const calibrated = await gsic.json(["calibrate", path("tiny.toml"), "--out", path("stats")]);
    expect(calibrated).toMatchObject({ out: path("stats"), tokens: 2048, origin: { kind: "text" } });
    const toml = tinyToml("stats.toml", `stats = "${path("stats")}"`);
    const built = (await gsic.json(["build", toml, "--out", path("from-stats")])) as BuildJson;
    expect(built.calibration).toEqual({ tokens: 2048, origin: { kind: "file", file: path("stats") } });
    expect(differences(path("tiny"), path("from-stats"))).toEqual([
      "checksums.json",
      "graph.ts",
      "report.json",
    ]);
    const other = project("other-model", gatedSettings.replace("tokens = 256", `stats = "${path("stats")}"`));
    expectFailure(
      await gsic.run(["build", "model.toml", "--out", "out"], { cwd: other }),
      3,
      "stats-other-model",
    );
  });

  test("a changed byte is found before a token is computed", async () => {
    cpSync(path("tiny"), path("damaged"), { recursive: true });
    const bundle = path("damaged/tiny-gpt2.gsi");
    const bytes = readFileSync(bundle);
    bytes[bytes.length - 100_000]! ^= 1;
    writeFileSync(bundle, bytes);
    for (const mode of ["exact", "bounded"]) {
      const outcome = await gsic.run(["run", path("damaged"), "--prompt", "Once", "--mode", mode]);
      expectFailure(
        outcome,
        3,
        "the hash of section 'weights'",
        "tiny-gpt2.gsi: byte",
        "build the model again",
      );
    }
    expectFailure(
      await gsic.run(["eval", path("damaged")]),
      3,
      "bundle-invalid",
      "the hash of section",
      "next  ",
    );
    rmSync(path("damaged/tiny-gpt2"));
    expectFailure(
      await gsic.run(["run", path("damaged"), "--prompt", "Once"]),
      4,
      "build-incomplete",
      "build it again",
    );
  });
});

describe("what is refused leaves nothing behind", () => {
  const text = (content: string) => (folder: string) => writeFileSync(join(folder, "model.toml"), content);
  const config = (edit: (settings: Record<string, unknown>) => void) => (folder: string) => {
    const file = join(folder, "model/config.json");
    const settings = JSON.parse(readFileSync(file, "utf8")) as Record<string, unknown>;
    edit(settings);
    writeFileSync(file, JSON.stringify(settings));
  };
  const settings = (toml: string) => (folder: string) => {
    writeFileSync(join(folder, "model.toml"), `${readFileSync(join(folder, "model.toml"), "utf8")}${toml}`);
  };
  const withText = (content: string | Uint8Array | null) => (folder: string) => {
    if (content !== null) writeFileSync(join(folder, "text.txt"), content);
    const toml = readFileSync(tinyToml("text.toml", 'text = ["text.txt"]'), "utf8");
    writeFileSync(join(folder, "model.toml"), toml);
  };
  const weights = (change: (bytes: Buffer) => string | Uint8Array) => (folder: string) => {
    const file = join(folder, "model/model.safetensors");
    writeFileSync(file, change(readFileSync(file)));
  };
  const gguf = (size: number) => (folder: string) => {
    const bytes = readFileSync(join(fixturesFolder, "llama-gguf/model.gguf"));
    writeFileSync(join(folder, "m.gguf"), bytes.subarray(0, size));
    writeFileSync(join(folder, "model.toml"), '[model]\nname = "small"\nsource = "m.gguf"\n');
  };

  /** What is wrong, how to make it so, the exit code, and what the message must hold. */
  const cases: [string, (folder: string) => void, number, ...string[]][] = [
    [
      "an unknown key",
      settings("contxt = 3\n"),
      2,
      "config-unknown-key",
      "model.toml:4",
      "did you mean context?",
    ],
    [
      "a syntax error",
      settings("context = = 3\n"),
      2,
      "config-syntax",
      "model.toml:4:11",
      "correct the TOML",
    ],
    [
      "an impossible epsilon",
      settings("[plan]\nepsilon = [2]\n"),
      2,
      "config-value",
      "epsilon = 2",
      "plan.epsilon",
    ],
    [
      "an unknown target",
      settings('[target]\nname = "cpu-avx51"\n'),
      2,
      "target-unknown",
      "did you mean cpu-avx512?",
    ],
    [
      "a context that is too long",
      settings("context = 65\n"),
      2,
      "context-too-long",
      "model.context",
      "lower it to 64",
    ],
    [
      "a source that is not there",
      text('[model]\nsource = "nowhere"\n'),
      3,
      "file-missing",
      "/nowhere",
      "check `source`",
    ],
    [
      "truncated safetensors",
      weights((b) => b.subarray(0, -9)),
      3,
      "safetensors-truncated",
      "byte",
      "fetch the file again",
    ],
    [
      "a Git LFS pointer",
      weights(() => "version https://git-lfs.github.com/spec/v1\n"),
      3,
      "file-lfs-pointer",
      "git lfs pull",
    ],
    ["truncated GGUF", gguf(100_000), 3, "gguf-truncated", 'tensor "', "byte", "fetch the file again"],
    ["a truncated GGUF header", gguf(100), 3, "gguf-truncated", "byte"],
    [
      "missing tensors, all of them named",
      config((c) => Object.assign(c, { num_hidden_layers: 3 })),
      3,
      "model-tensors",
      "model.layers.2.input_layernorm.weight: missing, expected [42]",
      "model.layers.2.mlp.down_proj.weight: missing, expected [42, 58]",
    ],
    [
      "wrong shapes, all of them named",
      config((c) => Object.assign(c, { intermediate_size: 64 })),
      3,
      "model-tensors",
      "model.layers.0.mlp.up_proj.weight: [58, 42], expected [64, 42]",
      "model.layers.1.mlp.down_proj.weight: [42, 58], expected [42, 64]",
    ],
    [
      "an unknown architecture",
      config((c) => Object.assign(c, { model_type: "mamba", architectures: ["MambaForCausalLM"] })),
      3,
      "architecture-unknown",
      '"mamba"',
      "config.json: model_type",
      "gpt2, gptj, llama",
    ],
    [
      "text that is not UTF-8",
      withText(Uint8Array.of(97, 255, 254)),
      3,
      "text-unreadable",
      "text.txt",
      "UTF-8",
    ],
    ["text that is not there", withText(null), 3, "text-unreadable", "text.txt"],
    ["empty text", withText(""), 3, "text-empty", "text.txt"],
    [
      "a planner without a tokenizer",
      settings('[quality]\nmode = "bounded"\n'),
      3,
      "tokenizer-missing",
      "the planner needs a tokenizer",
    ],
    [
      "fewer tokens than k",
      settings(gatedSettings.replace("tokens = 256", "tokens = 8\nwindow = 8")),
      3,
      "stats-too-few",
      "k = 16 directions cannot come from 8 tokens",
      "raise calibration.tokens, or lower plan.k",
    ],
  ];

  test.each(cases)("%s", async (title, spoil, code, ...parts) => {
    const folder = project(`bad-${title.replaceAll(/\W/g, "-")}`);
    spoil(folder);
    const before = filesBelow(folder);
    expectFailure(await gsic.run(["build", "model.toml", "--out", "out"], { cwd: folder }), code, ...parts);
    expect(filesBelow(folder)).toEqual(before);
    expect(readdirSync(folder).filter((name) => /^(out|\.)/.test(name))).toEqual([]);
  });

  test("an output folder that is not a build, holds an input, or cannot be written", async () => {
    const folder = project("outputs");
    mkdirSync(join(folder, "mine"));
    writeFileSync(join(folder, "mine/keep.txt"), "keep");
    writeFileSync(join(folder, "mine/report.json"), '{"title":"not a build"}');
    const before = filesBelow(folder);
    const build = (out: string) => gsic.run(["build", "model.toml", "--out", out], { cwd: folder });
    expectFailure(await build("mine"), 2, "output-not-a-build", path("outputs/mine"), "--out");
    expectFailure(await build("model"), 2, "output-not-a-build", path("outputs/model"));
    expectFailure(await build("."), 2, "output-not-a-build", path("outputs"));
    expectFailure(await build("model.toml"), 2, "output-not-a-build");
    expectFailure(await build("model.toml/out"), 4, "output-unwritable", "--out");
    expect(filesBelow(folder)).toEqual(before);
    expect((await build("out")).code).toBe(0);
    cpSync(join(folder, "model"), join(folder, "out/model"), { recursive: true });
    writeFileSync(join(folder, "out/model.toml"), readFileSync(join(folder, "model.toml")));
    const inside = await gsic.run(["build", "out/model.toml", "--out", "out"], { cwd: folder });
    expectFailure(inside, 2, "output-holds-input", "out/model.toml");
    expect(filesBelow(join(folder, "out/model"))).toEqual(filesBelow(join(folder, "model")));
  });

  test("wrong usage", async () => {
    const folder = project("usage");
    const usage: [string[], number, ...string[]][] = [
      [[], 2, "Usage: gsic"],
      [["bild"], 2, "unknown command 'bild'", "Did you mean build?"],
      [["build", "model.toml", "--jsn"], 2, "unknown option '--jsn'", "Did you mean --json?"],
      [["run", "model", "--mode", "exat"], 2, "did you mean exact?", "exact, bounded"],
      [["build"], 2, "missing required argument"],
      [["build", "model.toml", "--mode", "fast"], 2, "--mode", "exact, bounded"],
      [["build", "model.toml", "--out", "out", "--target", "cpu-avx"], 2, "target-unknown", "did you mean"],
      [["build", "none.toml"], 2, "config-unreadable", path("usage/none.toml"), "model.toml"],
      [["build", "none.ts"], 2, "graph-unreadable", path("usage/none.ts"), "graph.ts"],
      [["inspect", "none.ts"], 2, "graph-unreadable"],
      [["inspect", "model"], 2, "build-missing", path("usage/model"), "build it first"],
      [["run", "none", "--prompt", "a"], 2, "build-missing", path("usage/none"), "build it first"],
      [["eval", "model"], 2, "build-missing", "build it first"],
      [["logits", "model", "--ids", "1,x", "--out", "l"], 2, "--ids", 'id 2 is "x"', "give ids like 1,2,3"],
      [["run", "model", "--prompt", "a", "--temperature", "-1"], 2, "--temperature"],
      [["run", "model", "--prompt", "a", "--ids", "1"], 2, "--prompt"],
    ];
    for (const [args, code, ...parts] of usage)
      expectFailure(await gsic.run(args, { cwd: folder }), code, ...parts);
    expect(readdirSync(folder).sort()).toEqual(["model", "model.toml"]);
    expect(await gsic.run(["--version"])).toMatchObject({ code: 0, stdout: "0.1.0\n" });
    expect((await gsic.run(["build", "--help"])).code).toBe(0);
  });
});

/** Checks the exit code and the message; nothing that fails prints to standard output or shows a stack. */
function expectFailure(outcome: Outcome, code: number, ...parts: string[]): void {
  expect(outcome, outcome.stderr).toMatchObject({ code, stdout: "" });
  for (const part of parts) expect(outcome.stderr).toContain(part);
  expect(outcome.stderr).not.toMatch(/defect of gsic|^ {4}at /m);
}

/** Waits until something is there; fails if the command ends before. */
async function appears(there: () => boolean, outcome: Promise<Outcome>): Promise<void> {
  let ended: Outcome | undefined;
  void outcome.then((one) => {
    ended = one;
  });
  while (!there()) {
    if (ended !== undefined) throw new Error(`it ended too early: ${ended.stderr}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
