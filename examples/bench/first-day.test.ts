import { execFileSync, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { mockDriverEnvironment } from "../../compiler/cc/mock-driver.js";
import { readGraph } from "../../compiler/models/index.js";
import { makePlan } from "../../compiler/passes/index.js";
import { Weights } from "../../compiler/read/weights.js";
import { schedule } from "../../compiler/schedule/program.js";
import { packageRoot } from "../../compiler/support/paths.js";
import { CommandLine } from "../../compiler/testing/cli.js";
import { densePlan, temporaryFolder } from "../../compiler/testing/fixtures.js";
import { gpuTarget, whyNotCompiled } from "../../compiler/testing/gpu.js";

const script = join(packageRoot, "examples/bench/first-day.sh");
const target = gpuTarget("mi300x");
const missing = await whyNotCompiled(target);
const reason = missing === null ? "" : ` (skipped: ${missing})`;

/** The environment in which the mock driver runs the kernels of tiny-gpt2 in exact mode. */
async function environment(): Promise<Readonly<Record<string, string>>> {
  const weights = await Weights.open(join(packageRoot, "examples/tiny-gpt2/model"));
  const graph = readGraph(weights, "tiny-gpt2");
  weights.close();
  const plan = makePlan(graph, { options: densePlan, device: target.device });
  const { kernels } = schedule(plan, ["exact"], target, { linears: true });
  // Optimised: what is measured runs for longer than that takes.
  const mocked = await mockDriverEnvironment(kernels, target.gpu.wave);
  return { ...mocked(join(await temporaryFolder(), "account.json")), GSIC_MOCK_MEMORY: String(48 << 20) };
}

test("make_model.py writes models that gsic reads, one of each family", async () => {
  const folder = await temporaryFolder();
  const script = join(packageRoot, "examples/bench/make_model.py");
  for (const shape of ["tiny-gpt2", "tiny-gptj", "tiny-opt", "tiny-llama"]) {
    execFileSync("python3", [script, shape, "--out", join(folder, shape)], { stdio: "ignore" });
    const weights = await Weights.open(join(folder, shape));
    const { nodes, vocabulary } = readGraph(weights, shape);
    weights.close();
    expect(vocabulary).toBe(120);
    expect(nodes.filter(({ kind }) => kind === "attention").length).toBe(2);
  }
});

describe.skipIf(missing !== null)(`examples/bench/first-day.sh${reason}`, () => {
  let gsic: CommandLine;
  beforeAll(() => {
    gsic = new CommandLine();
  });

  test("measures tiny-gpt2 on the mock driver, and packs what it found", async () => {
    const out = join(await temporaryFolder(), "day");
    const arguments_ = [script, "--only", "tiny-gpt2", "--repeat", "1", "--tokens", "2", "--out", out];
    const variables = {
      ...process.env,
      ...(await environment()),
      GSIC_COMMAND: gsic.command,
    };
    const { status, stderr } = spawnSync("bash", arguments_, { env: variables, encoding: "utf8" });
    const summary = await readFile(join(out, "summary.txt"), "utf8");
    expect(summary.replaceAll(/ \d+s /g, " ").split("\n")).toEqual([
      "0 machine",
      expect.stringMatching(/^[04] doctor$/),
      "0 tiny-gpt2-build-mi300x",
      "0 tiny-gpt2-inspect",
      "0 tiny-gpt2-build-native",
      "0 tiny-gpt2-check",
      "0 tiny-gpt2-bench-16",
      "0 tiny-gpt2-launches",
      "",
    ]);
    expect(status, stderr).toBe(summary.includes("4 ") ? 1 : 0);
    const bench = JSON.parse(await readFile(join(out, "tiny-gpt2-bench-16.txt"), "utf8"));
    expect(bench.modes.exact.share_of_ceiling).toBeGreaterThan(0);
    expect(await readFile(join(out, "tiny-gpt2-check.txt"), "utf8")).toMatch(/largest difference of a logit/);
    const packed = execFileSync("tar", ["-tzf", `${out}.tar.gz`], { encoding: "utf8" });
    for (const file of ["summary.txt", "machine.txt", "tiny-gpt2-inspect.txt", "tiny-gpt2-report.json"])
      expect(packed).toContain(`./${file}\n`);
    expect(packed).not.toContain("./work");
  });

  test("a step that fails is told, and the others run", async () => {
    const out = join(await temporaryFolder(), "day");
    const { status, stderr } = spawnSync("bash", [script, "--only", "bf16", "--out", out], {
      env: { ...process.env, GSIC_COMMAND: "false" },
      encoding: "utf8",
    });
    expect(status).toBe(1);
    expect(stderr).toContain("2 steps failed");
    expect(existsSync(`${out}.tar.gz`)).toBe(true);
    expect(await readFile(join(out, "summary.txt"), "utf8")).toMatch(
      /^1 \d+s doctor\n1 \d+s bf16-build-mi300x$/m,
    );
    expect(spawnSync("bash", [script, "--nothing"], { encoding: "utf8" })).toMatchObject({ status: 2 });
  });
});
