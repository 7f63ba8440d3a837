import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Report } from "../../compiler/report/report.js";
import { packageRoot } from "../../compiler/support/paths.js";
import { CommandLine, start } from "../../compiler/testing/cli.js";

const example = join(packageRoot, "examples/smollm2");
const work = mkdtempSync(join(tmpdir(), "gsic-smollm2-"));
const missing = fetchModel();
/** The tokenizer's end-of-text and end-of-turn tokens, at which the runtime stops and the reference does not. */
const ends = new Set([0, 2]);
/** Below this gap of the two best logits, another order of summation may choose the other token. */
const tie = 1e-3;
let gsic: CommandLine;

beforeAll(() => {
  gsic = new CommandLine();
});

afterAll(() => {
  rmSync(work, { recursive: true, force: true });
});

/** examples/smollm2/reference.json. */
interface Reference {
  readonly models: Readonly<
    Record<
      string,
      { readonly cases: readonly { prompt: string; prompt_ids: number[]; ids: number[]; gaps: number[] }[] }
    >
  >;
}

/** Obtains the GGUF file unless it is there; why not, if it cannot be had. */
function fetchModel(): string | null {
  if (existsSync(join(example, "cache/SmolLM2-135M-Instruct.Q4_1.gguf"))) return null;
  if (process.env.GSIC_OFFLINE) return "GSIC_OFFLINE is set, and the model is not in examples/smollm2/cache";
  const { status, stderr, error } = spawnSync("python3", [join(example, "fetch.py")], { timeout: 1_800_000 });
  if (status === 0) return null;
  return `examples/smollm2/fetch.py failed: ${error?.message ?? stderr.toString().trim().split("\n").at(-1)}`;
}

test.skipIf(missing !== null)(
  `SmolLM2 from GGUF: the greedy tokens of transformers${missing === null ? "" : ` (skipped: ${missing})`}`,
  async () => {
    const out = join(work, "out");
    const args = ["build", join(example, "model.toml"), "--mode", "exact", "--out", out];
    const report = (await gsic.json(args)) as Report;
    expect(report).toMatchObject({ name: "smollm2", family: "llama", modes: ["exact"] });
    expect(report.self_check.exactError).toBeLessThan(1e-4);
    const reference = JSON.parse(readFileSync(join(example, "reference.json"), "utf8")) as Reference;
    const { cases } = reference.models.smollm2!;
    expect(cases).toHaveLength(10);
    let same = 0;
    for (const { prompt, prompt_ids, ids, gaps } of cases) {
      const { code, stdout, stderr } = await start(join(out, "smollm2"), [
        "--tokens",
        String(ids.length),
        "--json",
        "--",
        prompt,
      ]).outcome;
      expect(code, stderr).toBe(0);
      const found = JSON.parse(stdout) as { prompt_ids: number[]; ids: number[] };
      expect(found.prompt_ids, prompt).toEqual(prompt_ids);
      const end = ids.findIndex((id) => ends.has(id));
      const expected = end < 0 ? ids : ids.slice(0, end);
      const generated = found.ids.filter((id, at) => !(at === end && ends.has(id)));
      const differs = expected.findIndex((id, at) => generated[at] !== id);
      if (differs < 0) {
        expect(generated, prompt).toEqual(expected);
        same++;
      } else {
        expect(gaps[differs], `${prompt}: token ${differs} is ${generated[differs]}`).toBeLessThan(tie);
      }
    }
    expect(same).toBeGreaterThanOrEqual(8);
  },
);
