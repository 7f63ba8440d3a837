import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { packageRoot } from "../../compiler/support/paths.js";

const folder = join(packageRoot, "examples", "bench");

/** Runs Python in the example's folder; it has the standard library alone. */
function python(...args: string[]) {
  return spawnSync("python3", args, { cwd: folder, encoding: "utf8", timeout: 1_800_000 });
}

describe("examples/bench/peers.py", () => {
  test("ratios are to the base around each measurement; a row that fails stays; done rounds are kept", () => {
    const script = `
import json
from pairing import Failed, base_summary, rounds, summary
calls = []
def measure(name):
    calls.append(name)
    if name == "broken":
        raise Failed("no such type")
    # The machine halves its speed with every call: a pair's base is its neighbours' mean.
    rate = {"base": 100, "peer": 200}[name] / 2 ** len(calls)
    return {"decode_tokens_per_second": rate, "first_token_seconds": 1 / rate, "tokens": 4}
done = []
rounds("base", ["peer", "broken"], 2, measure, done)
first = len(calls)
rounds("base", ["peer", "broken"], 2, measure, done)
found = [summary("peer", done), summary("broken", done), base_summary(done)]
print(json.dumps([calls[:first], len(calls) - first, *found]))`;
    const { stdout, stderr } = python("-c", script);
    expect(stderr).toBe("");
    const [calls, again, peer, broken, base] = JSON.parse(stdout);
    expect(calls).toEqual(["base", "peer", "base", "broken", "base", "peer", "base"]);
    expect(again).toBe(0);
    expect(peer).toMatchObject({ rounds: 2, reason: null });
    expect(peer.decode).toEqual({ median: 1.6, least: 1.6, most: 1.6 });
    expect(broken).toMatchObject({ rounds: 0, reason: "no such type", decode: null });
    expect(base).toMatchObject({ rounds: 2, reason: null, decode: { median: 1, least: 1, most: 1 } });
    // Calls 1 and 3 stand around the first sample, 5 and 7 around the second.
    expect(base.rate).toEqual({ median: 16.6015625, least: 1.953125, most: 31.25 });
  });

  test("the table puts the fastest first, and leaves no row out", () => {
    const summary = (median: number | null, rate: number | null) => ({
      decode: median === null ? null : { median, least: median / 2, most: median * 2 },
      first: median === null ? null : { median: 1 / median, least: 1 / median, most: 1 / median },
      rate: rate === null ? null : { median: rate },
      first_token_seconds: rate === null ? null : { median: 1 / rate },
    });
    const row = (name: string, speed: number | null, reason: string | null, rate = speed) => {
      const texts = speed === null ? null : { prose: { kl: { value: 0.25 } }, law: { kl: { value: 0.75 } } };
      const long = summary(name === "slow" ? null : speed, rate);
      return { name, family: name.split(" ")[0], ...summary(speed, rate), long, reason, texts };
    };
    const rows = [
      row("slow", 0.5, null),
      row("none", null, "unsupported"),
      row("fast", 2, null),
      row("gsic exact", 1, null, 40),
    ];
    const script = "import json, sys; from peers_results import table; print(table(json.loads(sys.argv[1])))";
    const { stdout, stderr } = python("-c", script, JSON.stringify(rows));
    expect(stderr).toBe("");
    expect(stdout.trimEnd().split("\n").slice(2)).toEqual([
      "| fast | 2.00 (1.00 to 4.00) | 0.50 | 0.50 | 2.00 (1.00 to 4.00) | 0.5000 |  |",
      "| **gsic exact** | 1 (40 tokens/s) | 1 (0.03 s) | 1 (0.03 s) | 1 (40 tokens/s) | 0.5000 |  |",
      "| slow | 0.50 (0.25 to 1.00) | 2.00 | - | - | 0.5000 |  |",
      "| none | - | - | - | - | - | unsupported |",
    ]);
  });

  test("usage is refused before anything is installed", () => {
    const { status, stderr } = python("peers.py", "--tokens", "1");
    expect(status).toBe(2);
    expect(stderr).toContain("--tokens");
    const family = python("peers.py", "--only", "gsic,nobody");
    expect(family.status).toBe(2);
    expect(family.stderr).toContain("--only: some of gsic, llama.cpp, ik_llama.cpp");
  });
});
