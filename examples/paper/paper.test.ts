import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { TextQuality } from "../../compiler/report/evaluation.js";
import type { Report } from "../../compiler/report/report.js";
import { packageRoot } from "../../compiler/support/paths.js";
import { CommandLine, type Outcome, start } from "../../compiler/testing/cli.js";
import { temporaryFolder } from "../../compiler/testing/files.js";
import { beginning } from "./paper-text.js";
import { markdown, type Result } from "./table.js";

test("the paper's text is the longest beginning that ends with a word and has at most so many tokens", () => {
  const letters = { encode: (text: string) => [...text].map(() => 0), decode: () => "" };
  const text = "one two three\nfour five";
  expect(beginning(text, letters, 7)).toBe("one two");
  expect(beginning(text, letters, 12)).toBe("one two");
  expect(beginning(text, letters, 13)).toBe("one two three");
  expect(beginning(text, letters, 2)).toBe("");
});

/** tiny-gpt2 on less text than its own model.toml names. */
const example = join(packageRoot, "examples/tiny-gpt2");
const modelToml = `
[model]
name = "tiny-gpt2"
source = "${example}/model"
[calibration]
text = ["${example}/calibration.txt"]
tokens = 2048
[heldout]
text = ["${example}/heldout.txt"]
tokens = 1536
`;

describe("the command, on tiny-gpt2", () => {
  const cli = new CommandLine();
  const folder = temporaryFolder();
  afterAll(() => folder.remove());
  let config: string;
  let out: string;
  let outcome: Outcome;
  let result: Result;

  beforeAll(async () => {
    out = join(folder.path, "tiny-gpt2");
    config = join(folder.path, "model.toml");
    writeFileSync(config, modelToml);
    const settings = ["--epsilon", "0.1", "--steps", "1", "--target", "cpu-portable", "--out", out];
    outcome = await paper([config, ...settings]);
    expect(outcome.code, outcome.stderr).toBe(0);
    result = JSON.parse(readFileSync(join(out, "table.json"), "utf8")) as Result;
  });

  function paper(args: readonly string[]): Promise<Outcome> {
    return start(process.execPath, [cli.compiled("examples/paper/main.js"), ...args]).outcome;
  }

  function record<T>(protocol: string, file: string): T {
    return JSON.parse(readFileSync(join(out, `${protocol}-k96-epsilon0.1`, file), "utf8")) as T;
  }

  test("has an in-sample and a held-out row for each protocol, and prints what it writes", () => {
    const rows = result.rows.map(({ protocol, part, k, epsilon }) => [protocol, part, k, epsilon]);
    expect(rows).toEqual([
      ["paper", "in-sample", 96, 0.1],
      ["paper", "held-out", 96, 0.1],
      ["honest", "in-sample", 96, 0.1],
      ["honest", "held-out", 96, 0.1],
    ]);
    expect(outcome.stdout).toBe(readFileSync(join(out, "table.md"), "utf8"));
    expect(outcome.stdout).toBe(markdown(result));
    expect(existsSync(join(out, "shared.safetensors"))).toBe(false);
  });

  test("figures of calibrated text are called in-sample, and no others", () => {
    for (const { protocol, part, tokens, closed, kl } of result.rows) {
      const measured = record<Record<typeof part, TextQuality>>(protocol, "measured.json")[part];
      expect({ tokens, closed, kl }).toEqual({
        tokens: measured.tokens,
        closed: measured.tiers.fast,
        kl: measured.kl,
      });
    }
    const [inSample, heldOut, honestInSample, honestHeldOut] = result.rows;
    const { calibration } = record<Report>("paper", "report.json");
    expect(calibration!.origin).toEqual({ kind: "file", file: join(out, "shared.safetensors") });
    expect(readFileSync(join(out, "calibrate.toml"), "utf8")).toContain(join(out, "text.txt"));
    expect(inSample!.tokens).toBe(result.calibration_tokens.paper - inSample!.windows);
    // The dense model on one text is the same, whatever was built beside it.
    const dense = (protocol: string, part: string) =>
      record<Record<string, TextQuality>>(protocol, "measured.json")[part]!.dense_perplexity.value;
    expect(heldOut!.tokens).toBe(honestHeldOut!.tokens);
    expect(dense("paper", "held-out")).toBe(dense("honest", "held-out"));
    expect(dense("paper", "in-sample")).not.toBe(dense("paper", "held-out"));
    expect(honestInSample!.closed).not.toBe(honestHeldOut!.closed);
    const lines = outcome.stdout.split("\n").filter((line) => line.startsWith("| paper | 96 | 0.10 |"));
    const percent = (value: number) => `${(100 * value).toFixed(1)} %`;
    for (const line of lines) {
      expect(line).toContain(percent((line.includes("| in-sample |") ? inSample! : heldOut!).closed));
    }
    expect(lines).toHaveLength(6);
  });

  test("equation 6 follows from f, and bytes from report.json", () => {
    for (const row of result.rows) {
      expect(row.equation_six).toBeCloseTo(1 / (row.closed / (192 / 96) + (1 - row.closed)), 12);
      const { bytes_per_token, linears } = record<Report>(row.protocol, "report.json");
      expect(row.model_bytes_per_token.dense).toBe(bytes_per_token.dense);
      const measured = record<Record<string, TextQuality>>(row.protocol, "measured.json")[row.part]!;
      const mean = linears.reduce((sum, { bytes, input }) => {
        const f = measured.tiers.by_input[input]?.fast ?? 0;
        return sum + f * bytes.fast + (1 - f) * bytes.slow;
      }, 0);
      expect(row.model_bytes_per_token.mean).toBeCloseTo(mean, 3);
      expect(row.bytes_per_token.per_input).toBeCloseTo(
        row.bytes_per_token.dense + mean - bytes_per_token.dense,
        3,
      );
      // Two of a layer's three inputs of 192 channels need not read their basis again.
      const saved = row.bytes_per_token.per_input - (row.bytes_per_token.per_layer ?? Number.NaN);
      if (row.protocol === "paper") expect(saved).toBeCloseTo(4 * 2 * 2 * 96 * 192, 3);
      else expect(row.bytes_per_token.per_layer).toBeNull();
    }
  });

  test("the basis of all inputs of a layer is the same, but for those of another width", () => {
    expect(result.inputs).toEqual({
      shared: ["attention_norm", "attention", "mlp_norm"],
      own: ["activation"],
    });
    expect(result.cascade["96"]!.map(({ layer }) => layer)).toEqual([0, 1, 2, 3]);
  });

  test.each([
    [["--k", "192"], 2, "paper-k"],
    [["--k", "0"], 2, "not a positive integer"],
    [["--epsilon", "1.5"], 2, "not above 0 and at most 1"],
    [["--tokens", "32"], 3, "stats-too-few"],
  ])("refuses %j", async (args, code, expected) => {
    const refused = await paper([config, "--out", join(out, "refused"), ...args]);
    expect(refused.stderr).toContain(expected);
    expect(refused.code).toBe(code);
    expect(refused.stdout).toBe("");
  });

  test("refuses to write over a text, and to run without held-out text", async () => {
    const mine = join(out, "mine");
    mkdirSync(mine);
    writeFileSync(join(mine, "text.txt"), "Once upon a time");
    const toml = join(mine, "model.toml");
    const texts = '[calibration]\ntext = ["text.txt"]\n';
    writeFileSync(
      toml,
      `[model]\nsource = "${example}/model"\n${texts}[heldout]\ntext = ["${example}/heldout.txt"]\n`,
    );
    expect(await paper([toml, "--out", mine])).toMatchObject({ code: 2 });
    expect(readFileSync(join(mine, "text.txt"), "utf8")).toBe("Once upon a time");
    writeFileSync(toml, `[model]\nsource = "${example}/model"\n${texts}`);
    expect((await paper([toml])).stderr).toContain("paper-texts");
  });
});
