import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { bootstrap } from "../../compiler/evaluate/bootstrap.js";
import { packageRoot } from "../../compiler/support/paths.js";

const folder = join(packageRoot, "examples", "frontier");

/** Runs Python in the example's folder; it has the standard library alone. */
function python(...args: string[]) {
  return spawnSync("python3", args, { cwd: folder, encoding: "utf8", timeout: 1_800_000 });
}

describe("examples/frontier", () => {
  test("intervals are those of gsic eval, draw for draw", () => {
    const values = [0.31, 0.02, 7.5, 0.4, 0.09];
    const script = `
import json
from intervals import bootstrap
values = json.loads(${JSON.stringify(JSON.stringify(values))})
print(json.dumps([bootstrap(n, lambda drawn: sum(values[i] for i in drawn) / n) for n in (1, 4, 5)]))`;
    const { stdout, stderr } = python("-c", script);
    expect(stderr).toBe("");
    const expected = [1, 4, 5].map((count) =>
      bootstrap(count, (drawn) => drawn.reduce((sum, i) => sum + values[i]!, 0) / count),
    );
    expect(JSON.parse(stdout)).toEqual(expected);
  });

  test("the table sorts by bytes, leaves nothing out, and says which plan a peer competes with", () => {
    const row = (name: string, family: string, bytes: number, kl: number) => ({
      name,
      family,
      bytes,
      share: bytes / 1000,
      bits_per_weight: (16 * bytes) / 1000,
      texts: {
        prose: {
          kl: { value: kl, low: kl / 2, high: 2 * kl },
          perplexity_ratio: { value: 1.5 },
          top1: { value: 0.9 },
        },
      },
    });
    const rows = [
      row("Q8_0", "llama.cpp", 531, 0.002),
      row("plan", "gsic", 400, 0.01),
      row("Q5_0", "llama.cpp", 430, 0.02),
      row("Q4_0", "llama.cpp", 300, 0.2),
    ];
    const script = `import json, sys; from results import table; print(table(json.loads(sys.argv[1])))`;
    const { stdout, stderr } = python("-c", script, JSON.stringify(rows));
    expect(stderr).toBe("");
    const lines = stdout.trimEnd().split("\n").slice(1);
    expect(lines.map((line) => line.split(/\s+/)[0])).toEqual(["Q4_0", "plan", "Q5_0", "Q8_0"]);
    expect(lines[0]).toMatch(/none$/);
    expect(lines[1]).toContain("0.0050-0.0200");
    expect(lines[2]).toMatch(/0\.0100 better$/);
    expect(lines[3]).toMatch(/0\.0100 worse$/);
  });

  test("usage is refused before anything is installed", () => {
    const { status, stderr } = python("frontier.py", "--tokens", "1");
    expect(status).toBe(2);
    expect(stderr).toContain("--tokens");
  });
});
