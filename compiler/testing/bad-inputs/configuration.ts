import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "../../build.js";
import { openBuild } from "../../build-folder/open.js";
import { checkOutput, publish, refuseOverwrite } from "../../build-folder/publish.js";
import { Algebra } from "../../calibrate/algebra.js";
import { Factors } from "../../calibrate/factors.js";
import { openStats } from "../../calibrate/stats-file.js";
import { makePlan } from "../../passes/index.js";
import { packageRoot } from "../../support/paths.js";
import { silent } from "../../support/progress.js";
import { safetensorsBytes } from "../files.js";
import { openFixture } from "../fixtures.js";
import { type BadCase, bad, type Scratch, settings, statistics, target, toml } from "./case.js";

const usage = { category: "usage" } as const;
const value = (key: string) => `@/model.toml: ${key}`;
const gated = (k: number) => ({ forms: ["gated" as const], k: [k], epsilon: [0.5] });

/** Statistics of inputs x, of two channels unless it is said otherwise. */
interface Statistics {
  readonly input?: string;
  readonly d?: number;
  readonly count?: bigint;
  readonly mean?: number[];
  readonly norm?: number;
  readonly moment?: number[];
  readonly metadata?: Record<string, string>;
}

function statsBytes(parts: Statistics): Uint8Array {
  const { input = "x", d = 2, count = 1000n, norm = d, metadata = { model: "this-model" } } = parts;
  const identity = Array.from({ length: d * d }, (_, at) => (at % (d + 1) === 0 ? 1 : 0));
  const data = {
    count: ["I64", [1], BigInt64Array.of(count)],
    mean_squared_norm: ["F64", [1], Float64Array.of(norm)],
    mean: ["F32", [d], Float32Array.from(parts.mean ?? new Array<number>(d).fill(0))],
    second_moment: ["F32", [d, d], Float32Array.from(parts.moment ?? identity)],
  } as const;
  const header: Record<string, unknown> = { __metadata__: metadata };
  let end = 0;
  for (const [name, [dtype, shape, values]] of Object.entries(data)) {
    header[`${input}.${name}`] = { dtype, shape, data_offsets: [end, end + values.byteLength] };
    end += values.byteLength;
  }
  return safetensorsBytes(
    header,
    Buffer.concat(Object.values(data).map(([, , one]) => Buffer.from(one.buffer))),
  );
}

const stats = (parts: Statistics) => statistics(statsBytes(parts));
const tensor = (name: string) => `@/stats.safetensors: tensor "x.${name}"`;

/** What a fixture's first gated input ends in with such statistics: when they are checked, and when V is made. */
const factors =
  (k: number, parts: Statistics, what: "check" | "basis") =>
  async (scratch: Scratch): Promise<void> => {
    const { model } = await openFixture("gpt2-f32");
    const input = "layer0_attention_norm";
    const file = scratch.write("stats.safetensors", statsBytes({ input, d: 30, metadata: {}, ...parts }));
    const algebra = new Algebra();
    try {
      const plan = makePlan(model.graph, { options: gated(k) });
      const made = new Factors(plan, model.weights, await openStats(file, model.fingerprint), algebra);
      if (what === "check") made.check();
      else await made.basis(input, k);
    } finally {
      await algebra.close();
      model.weights.close();
    }
  };

/** A build of examples/tiny-gpt2 with other texts, which is refused before anything is compiled. */
const texts = (calibration: string, heldout: string) => (scratch: Scratch) => {
  const example = join(packageRoot, "examples/tiny-gpt2");
  const list = (name: string) => JSON.stringify([name.replace("@", example)]);
  const input = scratch.write(
    "model.toml",
    `[model]\nname = "m"\nsource = ${JSON.stringify(join(example, "model"))}\n[calibration]\ntext = ${list(calibration)}\n` +
      `tokens = 512\n[heldout]\ntokens = 512\ntext = ${list(heldout)}\n`,
  );
  return build({ input, out: scratch.path("out"), progress: silent });
};

/** Cases 48 to 58: calibration, configuration and what is written. */
export const configurationCases: readonly BadCase[] = [
  bad(48, "by hash", stats({ metadata: { model: "another" } }), "stats-other-model", "@/stats.safetensors"),
  bad(48, "of another width", stats({ d: 3 }), "stats-invalid", tensor("mean")),
  bad(48, "of another input", stats({ input: "y" }), "stats-input-missing", tensor("count")),
  bad(
    48,
    "tokens that are no number",
    stats({ metadata: { tokens: "many" } }),
    "stats-invalid",
    '@/stats.safetensors: key "__metadata__"',
  ),
  bad(
    49,
    "above every width",
    async () => {
      const { model } = await openFixture("gpt2-f32");
      model.weights.close();
      return makePlan(model.graph, { options: gated(120) });
    },
    "plan-k-range",
    "model.toml: plan.k",
    { ...usage, says: ["d = 120", "lower it"] },
  ),
  bad(
    49,
    "above the samples",
    factors(9, { count: 8n }, "check"),
    "stats-too-few",
    "@/stats.safetensors: layer0_attention_norm",
  ),
  bad(
    50,
    "fewer tokens",
    factors(2, { count: 1n }, "check"),
    "stats-too-few",
    "@/stats.safetensors: layer0_attention_norm",
  ),
  ...(
    [
      ["one channel alone", (at: number) => (at === 0 ? 30 : 0)],
      ["all channels equal", () => 1],
    ] as const
  ).map(([what, entry]) =>
    bad(
      50,
      `of rank 1: ${what}`,
      factors(2, { count: 1000n, moment: Array.from({ length: 900 }, (_, at) => entry(at)) }, "basis"),
      "stats-rank-deficient",
      "@/stats.safetensors: layer0_attention_norm",
      { says: ["rank 1", "lower plan.k"] },
    ),
  ),
  bad(51, "not symmetric", stats({ moment: [1, 5, 0, 1] }), "stats-invalid", tensor("second_moment")),
  bad(51, "another trace", stats({ moment: [1, 0, 0, 9] }), "stats-invalid", tensor("second_moment")),
  bad(51, "a negative square", stats({ moment: [3, 0, 0, -1] }), "stats-invalid", tensor("second_moment")),
  bad(52, "zero", stats({ norm: 0, moment: [0, 0, 0, 0] }), "stats-invalid", tensor("mean_squared_norm")),
  bad(52, "NaN", stats({ norm: Number.NaN }), "stats-invalid", tensor("mean_squared_norm")),
  bad(52, "NaN in the mean", stats({ mean: [0, Number.NaN] }), "stats-invalid", tensor("mean")),
  bad(
    52,
    "NaN in the second moment",
    stats({ moment: [1, 0, Number.NaN, 1] }),
    "stats-invalid",
    tensor("second_moment"),
  ),
  ...["0", "-1", "1.01", "nan", "inf", '"0.1"'].map((epsilon) =>
    bad(
      53,
      epsilon,
      settings(`[plan]\nepsilon = [${epsilon}]`),
      "config-value",
      value("plan.epsilon"),
      usage,
    ),
  ),
  bad(
    54,
    "the same file",
    texts("@/calibration.txt", "@/calibration.txt"),
    "heldout-overlap",
    `${packageRoot}/examples/tiny-gpt2/calibration.txt: token 0`,
  ),
  bad(
    54,
    "held-out text that is not there",
    texts("@/calibration.txt", "none.txt"),
    "text-unreadable",
    "@/none.txt",
  ),
  bad(55, "an unknown key", settings("contxt = 3"), "config-unknown-key", "@/model.toml:4", {
    ...usage,
    says: ["did you mean context?"],
  }),
  bad(
    55,
    "a duplicate table",
    settings("[plan]\nk = [1]\n[model]"),
    "config-syntax",
    "@/model.toml:6:7",
    usage,
  ),
  bad(55, "a wrong type", settings('context = "3"'), "config-value", value("model.context"), usage),
  bad(55, "a byte-order mark", toml("\ufeff[model]"), "config-encoding", "@/model.toml:1:1", usage),
  bad(
    55,
    "an empty source",
    toml('[model]\nname = "m"\nsource = ""'),
    "config-value",
    value("model.source"),
    usage,
  ),
  bad(55, "a target's key", target('device = "cpu"\nflgs = []'), "target-invalid", "@/mine.toml: flgs", {
    ...usage,
    says: ["did you mean flags?"],
  }),
  bad(55, "a target's syntax", target("device = "), "target-invalid", "@/mine.toml", usage),
  bad(
    56,
    "an input",
    (s) => refuseOverwrite(s.write("model.toml", ""), [s.path("model.toml")]),
    "output-is-input",
    "@/model.toml",
    usage,
  ),
  bad(
    56,
    "a file of an input",
    (s) => refuseOverwrite(s.write("m/w.safetensors", ""), [s.path("m")]),
    "output-is-input",
    "@/m/w.safetensors",
    usage,
  ),
  bad(
    56,
    "a folder that holds an input",
    (s) => {
      s.write("out/report.json", '{"gsic":"0.1.0"}');
      checkOutput(s.path("out"), [s.write("out/model.toml", "")]);
    },
    "output-holds-input",
    "@/out",
    usage,
  ),
  bad(
    56,
    "a link that leads nowhere",
    (s) => {
      symlinkSync(s.path("nowhere"), s.path("out"));
      checkOutput(s.path("out"));
    },
    "output-dangling-link",
    "@/out",
    usage,
  ),
  bad(
    56,
    "unwritable",
    (s) => publish(`${s.write("file", "")}/out`, async () => {}),
    "output-unwritable",
    "@/file/out",
    { category: "environment" },
  ),
  bad(
    56,
    "a full disk",
    (s) =>
      publish(s.path("out"), async (staging) => {
        writeFileSync(join(staging, "half"), "");
        throw Object.assign(new Error("write"), { code: "ENOSPC" });
      }),
    "disk-full",
    "@/out",
    { category: "environment", says: ["free some space"] },
  ),
  bad(
    57,
    "at once",
    (s) => publish(s.path("out"), () => publish(s.path("out"), async () => {})),
    "output-busy",
    "@/out",
    usage,
  ),
  ...['a"b', "a\nb", "*/", "{{x}}", "../x", "\u2028"].map((name) =>
    bad(
      58,
      JSON.stringify(name),
      toml(`[model]\nsource = "w"\nname = '''${name}'''\n`),
      "config-value",
      value("model.name"),
      usage,
    ),
  ),
  bad(
    58,
    "the name in a report",
    (s) => {
      mkdirSync(s.path("build"));
      s.write(
        "build/report.json",
        JSON.stringify({ name: "../x", mode: "exact", modes: ["exact"], config: "m" }),
      );
      return openBuild(s.path("build"));
    },
    "build-missing",
    "@/build",
    usage,
  ),
  bad(
    58,
    "a report that is null",
    (s) => {
      s.write("build/report.json", "null");
      return openBuild(s.path("build"));
    },
    "build-missing",
    "@/build",
    { ...usage, says: ["report.json does not say"] },
  ),
];
