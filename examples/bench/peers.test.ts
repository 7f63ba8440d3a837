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
from pairing import Failed, rounds, summary
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
print(json.dumps([calls[:first], len(calls) - first, summary("peer", done), summary("broken", done)]))`;
    const { stdout, stderr } = python("-c", script);
    expect(stderr).toBe("");
    const [calls, again, peer, broken] = JSON.parse(stdout);
    expect(calls).toEqual(["base", "peer", "base", "broken", "base", "peer", "base"]);
    expect(again).toBe(0);
    expect(peer).toMatchObject({ rounds: 2, reason: null });
    expect(peer.decode).toEqual({ median: 1.6, least: 1.6, most: 1.6 });
    expect(broken).toMatchObject({ rounds: 0, reason: "no such type", decode: null });
  });

  test("the table puts the fastest first, and leaves no row out", () => {
    const row = (name: string, speed: number | null, reason: string | null) => {
      const spread = speed === null ? null : { median: speed, least: speed / 2, most: speed * 2 };
      const texts = speed === null ? null : { prose: { kl: { value: 0.25 } }, law: { kl: { value: 0.75 } } };
      return { name, decode: spread, first: spread, reason, texts };
    };
    const rows = [row("slow", 0.5, null), row("none", null, "unsupported"), row("fast", 2, null)];
    const script = "import json, sys; from peers_results import table; print(table(json.loads(sys.argv[1])))";
    const { stdout, stderr } = python("-c", script, JSON.stringify(rows));
    expect(stderr).toBe("");
    const lines = stdout.trimEnd().split("\n").slice(1);
    expect(lines.map((line) => line.split(/\s+/)[0])).toEqual(["fast", "slow", "none"]);
    expect(lines[0]).toMatch(/2\.00 +1\.00-4\.00 +2\.00 +0\.5000/);
    expect(lines[2]).toMatch(/unsupported$/);
  });

  test("usage is refused before anything is installed", () => {
    const { status, stderr } = python("peers.py", "--tokens", "1");
    expect(status).toBe(2);
    expect(stderr).toContain("--tokens");
  });
});
