import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { packageRoot } from "../../compiler/support/paths.js";
import { buildTiny, type TinyBuild } from "../../compiler/testing/tiny.js";

const folder = join(packageRoot, "examples", "bench");
let built: TinyBuild;

beforeAll(async () => {
  built = await buildTiny();
});
afterAll(() => built?.remove());

/** Runs Python in the example's folder; it has the standard library alone. */
function python(args: readonly string[], input = "") {
  return spawnSync("python3", args, { cwd: folder, encoding: "utf8", input, timeout: 1_800_000 });
}

describe("examples/bench/users.py", () => {
  test("a build with many users: what each writes is what it writes alone, and newcomers get in", () => {
    const prompts = Array.from({ length: 4 }, (_, i) => [3 + i, 10, 20 + i, 30]);
    const newcomers = [
      [40, 41, 42],
      [50, 51, 52],
    ];
    const jobs = [
      { job: "rate", prompts, tokens: 12 },
      ...prompts.map((prompt) => ({ job: "rate", prompts: [prompt], tokens: 12 })),
      { job: "alone", prompts: newcomers },
      { job: "load", prompts, newcomers },
    ];
    const engine = JSON.stringify({ kind: "gsic", build: built.folder, mode: "exact" });
    const input = jobs.map((job) => `${JSON.stringify(job)}\n`).join("");
    const { stdout, stderr } = python(["engines/company.py", engine, "2"], input);
    expect(stderr).toBe("");
    const [ready, together, ...others] = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(ready).toEqual({ ready: true });
    expect(together.tokens).toBeGreaterThanOrEqual(4);
    expect(together.decode_tokens_per_second).toBeGreaterThan(0);
    for (const [i, text] of (together.texts as number[][]).entries()) {
      const [own] = others[i].texts as number[][];
      const both = Math.min(own!.length, text.length);
      expect(both).toBeGreaterThan(0);
      expect(text.slice(0, both)).toEqual(own!.slice(0, both));
    }
    expect(others[4].first_token_seconds).toHaveLength(2);
    for (const gaps of [others[5].gaps, others[5].gaps_alone]) {
      expect(gaps.length).toBeGreaterThan(0);
      for (const gap of gaps) expect(gap).toBeGreaterThanOrEqual(0);
    }
  });

  test("ratios are of one round, and a goal names the fastest row of another engine at no more KL", () => {
    const script = `
import json
from users_results import BASE, LLAMA, ONE, goals, summary, table
def samples(ratios):
    return [
        {"name": name, "round": number, "decode": ratio * (1 + number), "rate": 100 * ratio, "base_rate": 100.0}
        for number in range(2) for name, ratio in ratios.items()
    ]
eight = samples({ONE: 0.25, LLAMA: 0.5, "llama.cpp Q6_K": 0.8, "llama.cpp Q4_0": 3.0, "gsic bounded": 1.2})
# In the second round everything but the base is twice as fast.
load = [{"first_token_seconds": [0.3], "idle_seconds": [0.2], "gaps": [0.01] * 98 + [0.02, 0.05], "gaps_alone": [0.01] * 49 + [0.04]}]
document = summary({8: eight}, {name: load for name in (BASE, "gsic bounded", LLAMA, "llama.cpp Q6_K", "llama.cpp Q4_0")})
document |= {"kl": {BASE: 0, "gsic bounded": 0.01, LLAMA: 0.0001, "llama.cpp Q6_K": 0.01, "llama.cpp Q4_0": 0.3}}
document |= {"threads": 2, "rounds": 2, "texts": {name: {"other": 0, "prompts": 8} for name in document["rows"]}}
print(json.dumps([document, goals(document), table(document)]))`;
    const { stdout, stderr } = python(["-c", script]);
    expect(stderr).toBe("");
    const [document, goals, table] = JSON.parse(stdout);
    const exact = document.rows["gsic exact"];
    expect(exact.users["8"].x_llama_bf16).toEqual({ median: 1.5, least: 1, most: 2 });
    expect(exact.users["8"].x_one_user_of_exact).toEqual({ median: 3, least: 2, most: 4 });
    expect(document.rows["gsic bounded"].users["8"].x_llama_bf16.median).toBeCloseTo(2.4);
    expect(exact.gap.p99_x_median).toBeCloseTo(5);
    expect(exact.gap.alone_p99_x_median).toBeCloseTo(4);
    expect(exact.ninth_user_x_idle.median).toBeCloseTo(1.5);
    const [words, value] = goals[2];
    expect(words).toContain("llama.cpp Q6_K's 8: the fastest of the others at no more KL");
    expect(value).toBeCloseTo(1.5);
    expect(table).toContain(
      "8 users, KL 0.0100: llama.cpp Q6_K is the fastest of the others; gsic bounded is 1.50 x as fast, at no more KL",
    );
    expect(table).toContain("exact mode, 8 users, x one user: 3.00 (goal: at least 3.2; missed)");
    expect(table).toContain("first token of a ninth user, x idle: 1.50 (goal: at most 2.0)");
  });

  test("usage is refused before anything is installed", () => {
    for (const option of [
      ["--users", "0"],
      ["--tokens", "1"],
      ["--types", "Q5"],
    ]) {
      const { status, stderr } = python(["users.py", ...option]);
      expect(status).toBe(2);
      expect(stderr).toContain(option[0]);
    }
  });
});
