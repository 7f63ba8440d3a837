import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { openBuild } from "../build-folder/open.js";
import { runTool } from "../cc/tool.js";
import { kindOf } from "../ir/forms.js";
import { readTensors } from "../read/safetensors-write.js";
import type { Report } from "../report/report.js";
import { packageRoot } from "../support/paths.js";
import { CommandLine, start } from "../testing/cli.js";
import {
  densePlan,
  fixturesFolder,
  noFactors,
  openFixture,
  temporaryFolder,
  writeTestBundle,
} from "../testing/fixtures.js";
import { openStats } from "./stats-file.js";

const script = join(packageRoot, "examples/pytorch/collect_stats.py");
const python = findPython();
const reason = "no Python with torch, transformers and safetensors: set GSIC_TEST_PYTHON to one";

/** $GSIC_TEST_PYTHON or python3, if it has what the script needs. */
function findPython(): string | null {
  const candidate = process.env.GSIC_TEST_PYTHON ?? "python3";
  // Looked up rather than imported, which takes seconds.
  const probe =
    "from importlib.util import find_spec as f; exit(not all(map(f, ['torch', 'transformers', 'safetensors'])))";
  return spawnSync(candidate, ["-c", probe], { stdio: "ignore" }).status === 0 ? candidate : null;
}

/** Runs collect_stats.py, offline. */
async function collect(args: readonly string[]) {
  const env = { HF_HUB_OFFLINE: "1", TRANSFORMERS_VERBOSITY: "error" };
  return start(python!, [script, ...args], { env }).outcome;
}

/** ||a - b|| / ||b||. */
function relativeDistance(a: ArrayLike<number | bigint>, b: ArrayLike<number | bigint>): number {
  expect(a.length).toBe(b.length);
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < b.length; i++) {
    difference += (Number(a[i]) - Number(b[i])) ** 2;
    norm += Number(b[i]) ** 2;
  }
  return Math.sqrt(difference / norm);
}

/** The same tensors, of the same types and shapes, within 1e-4 of their norm. */
async function expectSameStats(file: string, expectedFile: string): Promise<void> {
  const { tensors } = await readTensors(file);
  const { tensors: expected } = await readTensors(expectedFile);
  expect([...tensors.keys()].sort()).toEqual([...expected.keys()].sort());
  for (const [name, { data, dtype, shape }] of expected) {
    expect(tensors.get(name), name).toMatchObject({ dtype, shape });
    expect(relativeDistance(tensors.get(name)!.data, data), name).toBeLessThan(1e-4);
  }
}

describe.skipIf(python === null)(`collect_stats.py${python === null ? ` (skipped: ${reason})` : ""}`, () => {
  test.each([
    ["gpt2-f32", []],
    ["llama-bf16", []],
    ["llama-head-dim", []],
    ["llama-bf16", ["--exact-bytes", "10000", "--sketch-width", "12"]],
  ])(
    "%s %j: the statistics of the native calibration, for every value that linears read",
    async (name, sketch) => {
      const { model } = await openFixture(name);
      const folder = await temporaryFolder();
      const ids = Int32Array.from({ length: 100 }, (_, i) => (7 + i * 7919) % model.graph.vocabulary);
      writeFileSync(join(folder, "ids.bin"), ids);
      writeFileSync(join(folder, "ids.txt"), ids.join(" "));
      const bundle = await writeTestBundle(model, densePlan, ["exact"], noFactors);
      const native = [
        "calibrate",
        bundle,
        "--ids-file",
        join(folder, "ids.bin"),
        "--out",
        join(folder, "native"),
      ];
      await runTool([...native, "--window", "32", ...sketch]);
      const from = [join(fixturesFolder, name), "--ids", join(folder, "ids.txt"), "--window", "32"];
      const more = [...sketch, "--fingerprint", model.fingerprint, "--out", join(folder, "python")];
      const outcome = await collect([...from, ...more]);
      expect(outcome, outcome.stderr).toMatchObject({ code: 0 });
      await expectSameStats(join(folder, "python"), join(folder, "native"));
      const stats = await openStats(join(folder, "python"), model.fingerprint);
      expect(stats.tokens).toBe(100);
      await expect(openStats(join(folder, "python"), "another")).rejects.toMatchObject({
        code: "stats-other-model",
      });
    },
  );

  test("refuses other families, text that is not there, and weights that are not finite", async () => {
    const folder = await temporaryFolder();
    mkdirSync(join(folder, "opt"));
    const config = { model_type: "opt", hidden_size: 8, num_hidden_layers: 1, num_attention_heads: 2 };
    const opt = {
      ...config,
      ffn_dim: 8,
      vocab_size: 10,
      word_embed_proj_dim: 8,
      max_position_embeddings: 16,
    };
    writeFileSync(
      join(folder, "opt/config.json"),
      JSON.stringify({ ...opt, architectures: ["OPTForCausalLM"] }),
    );
    writeFileSync(join(folder, "ids"), "1 2 3");
    const tiny = join(packageRoot, "examples/tiny-gpt2/model");
    const none = await collect([tiny, "--text", join(folder, "none.txt"), "--out", join(folder, "out")]);
    expect(none).toMatchObject({ code: 3 });
    expect(none.stderr).toContain("none.txt");
    const save = `import torch, sys; from transformers import AutoConfig, AutoModelForCausalLM as M
M.from_config(AutoConfig.from_pretrained(sys.argv[1])).save_pretrained(sys.argv[1])
m = M.from_pretrained(sys.argv[2]); m.transformer.h[0].mlp.c_fc.bias.data[0] = float("nan"); m.save_pretrained(sys.argv[3])`;
    const gpt2 = join(fixturesFolder, "gpt2-f32");
    const saved = spawnSync(python!, ["-c", save, join(folder, "opt"), gpt2, join(folder, "nan")]);
    expect(saved.status, saved.stderr.toString()).toBe(0);
    const other = await collect([
      join(folder, "opt"),
      "--ids",
      join(folder, "ids"),
      "--out",
      join(folder, "out"),
    ]);
    expect(other).toMatchObject({ code: 3 });
    expect(other.stderr).toContain("model_type 'opt' is not supported; supported: gpt2, llama");
    const nan = await collect([
      join(folder, "nan"),
      "--ids",
      join(folder, "ids"),
      "--out",
      join(folder, "out"),
    ]);
    expect(nan).toMatchObject({ code: 3 });
    expect(nan.stderr).toContain("layer0_activation is not finite");
    expect(() => readFileSync(join(folder, "out"))).toThrow("ENOENT");
  });

  describe("on examples/tiny-gpt2", () => {
    let gsic: CommandLine;
    beforeAll(() => {
      gsic = new CommandLine();
    });

    test("agrees with `gsic calibrate`, and a build takes its file", async () => {
      const folder = await temporaryFolder();
      const example = join(packageRoot, "examples/tiny-gpt2");
      const [native, stats, toml] = ["native", "stats", "model.toml"].map((name) => join(folder, name)) as [
        string,
        string,
        string,
      ];
      const calibrated = (await gsic.json(["calibrate", join(example, "model.toml"), "--out", native])) as {
        tokens: number;
      };
      const text = ["--text", join(example, "calibration.txt"), "--tokens", "8192"];
      const outcome = await collect([join(example, "model"), ...text, "--out", stats]);
      expect(outcome, outcome.stderr).toMatchObject({
        code: 0,
        stdout: `${stats}: ${calibrated.tokens} tokens\n`,
      });
      await expectSameStats(stats, native);
      const config = readFileSync(join(example, "model.toml"), "utf8")
        .replace('source = "model"', `source = "${example}/model"`)
        .replace('text = ["calibration.txt"]', 'stats = "stats"')
        .replace('text = ["heldout.txt"]', `text = ["${example}/heldout.txt"]`);
      writeFileSync(toml, config);
      const report = (await gsic.json(["build", toml, "--out", join(folder, "out")])) as Report;
      expect(report.calibration).toEqual({
        tokens: calibrated.tokens,
        origin: { kind: "file", file: stats },
      });
      const { linears } = openBuild(join(folder, "out")).report;
      expect(linears.filter(({ form }) => kindOf(form) === "gated")).toHaveLength(24);
    });
  });
});
