/** `node dist/examples/paper/main.js MODEL.toml`: the paper's protocol and the honest one, side by side. */

import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import TOML from "@iarna/toml";
import { Command, CommanderError, InvalidArgumentError } from "commander";
import { inputsOf } from "../../compiler/build.js";
import { refuseOverwrite } from "../../compiler/build-folder/publish.js";
import { Algebra } from "../../compiler/calibrate/algebra.js";
import { windowOf } from "../../compiler/calibrate/collect.js";
import { openStats } from "../../compiler/calibrate/stats-file.js";
import { checkTexts, requireTokenizer } from "../../compiler/calibrate/text.js";
import { describe } from "../../compiler/cli/cli.js";
import { type Config, readConfig } from "../../compiler/config/config.js";
import { type Model, openModel } from "../../compiler/models/model.js";
import { exitCodes, GsicError } from "../../compiler/support/errors.js";
import { kindOf } from "./account.js";
import { cascade } from "./cascade.js";
import { gsic } from "./gsic.js";
import { beginningOfFile } from "./paper-text.js";
import { type Measured, measure, modelTable, type Settings } from "./protocol.js";
import { hiddenSize, type LayerInputs, sharedInputs, shareStatistics } from "./shared-basis.js";
import { markdown, type Result } from "./table.js";

interface Options {
  /** Empty: 256, or half of the hidden size where that is not above 256. */
  readonly k: readonly number[];
  readonly epsilon: readonly number[];
  readonly tokens: number;
  readonly steps: number;
  readonly out?: string;
  readonly target?: readonly string[];
}

/** Files of the output folder, beside one folder a build. */
const written = [
  "text.txt",
  "calibrate.toml",
  "stats.safetensors",
  "shared.safetensors",
  "table.md",
  "table.json",
] as const;

async function run(input: string, options: Options): Promise<void> {
  const config = configured(input, options);
  const out = resolve(options.out ?? join("build", "paper", config.model.name));
  mkdirSync(out, { recursive: true });
  for (const name of written) refuseOverwrite(join(out, name), inputsOf(config));
  const model = await openModel(config, () => {});
  model.weights.close();
  checkTexts(config, model.tokenizer);
  const k = chosenK(options.k, hiddenSize(model.graph));
  const layers = sharedInputs(model.graph);
  const settings: Settings = {
    config,
    window: windowOf(model, config),
    hidden: hiddenSize(model.graph),
    shared: layers.map(({ inputs }) => inputs),
    text: join(out, "text.txt"),
    sharedStats: join(out, "shared.safetensors"),
    out,
  };
  const tokens = await paperStatistics(model, settings, layers, Math.max(...k), options.tokens);
  const bases = await cascades(settings, layers, k, options.steps, model.fingerprint);
  const measured: Measured[] = [];
  for (const epsilon of options.epsilon) {
    for (const one of k) {
      for (const protocol of ["paper", "honest"] as const) {
        measured.push(await measure(protocol, one, epsilon, settings));
        // A run may take hours, and each row is of use.
        const result = resultOf(measured, { model, settings, layers, tokens, bases });
        writeFileSync(join(out, "table.json"), `${JSON.stringify(result, null, 2)}\n`);
        writeFileSync(join(out, "table.md"), markdown(result));
      }
    }
  }
  rmSync(settings.sharedStats);
  process.stdout.write(readFileSync(join(out, "table.md"), "utf8"));
}

function resultOf(
  measured: readonly Measured[],
  facts: {
    model: Model;
    settings: Settings;
    layers: readonly LayerInputs[];
    tokens: number;
    bases: Result["cascade"];
  },
): Result {
  const { model, settings, layers, tokens, bases } = facts;
  const rows = measured.flatMap((one) => one.rows);
  const shared = new Set(layers.flatMap(({ inputs }) => inputs.map(kindOf)));
  return {
    model: { name: settings.config.model.name, fingerprint: model.fingerprint, hidden_size: settings.hidden },
    calibration_tokens: {
      paper: tokens,
      honest: measured.find(({ protocol }) => protocol === "honest")?.calibration_tokens ?? null,
    },
    inputs: {
      shared: [...shared],
      own: Object.keys(rows[0]!.closed_by_kind).filter((kind) => !shared.has(kind)),
    },
    rows,
    break_even: Object.fromEntries(measured.map(({ k, break_even }) => [k, break_even])),
    cascade: bases,
  };
}

/** The user's configuration, with the targets of the command line. Throws `paper-texts` where a text is missing. */
function configured(input: string, { target }: Options): Config {
  const config = readConfig(input);
  if (config.calibration.text.length === 0 || config.heldout.text.length === 0) {
    throw new GsicError({
      category: "usage",
      code: "paper-texts",
      message: "the protocols need a text to calibrate on and another one to measure on",
      where: `${config.file}: calibration.text, heldout.text`,
      hint: 'name both, e.g. text = ["calibration.txt"]',
    });
  }
  return target === undefined ? config : { ...config, target: { ...config.target, names: target } };
}

/** Throws `paper-k` for a k that leaves no subspace of the hidden states. */
function chosenK(asked: readonly number[], hidden: number): readonly number[] {
  if (asked.length === 0) return [hidden > 256 ? 256 : hidden >> 1];
  const wrong = asked.find((k) => k >= hidden);
  if (wrong === undefined) return asked;
  throw new GsicError({
    category: "usage",
    code: "paper-k",
    message: `k = ${wrong} is no less than the hidden size, ${hidden}`,
    where: "--k",
    hint: `give some below ${hidden}`,
  });
}

/** Writes the paper's text and statistics; returns how many tokens were calibrated on. */
async function paperStatistics(
  model: Model,
  { config, text, sharedStats, out }: Settings,
  layers: readonly LayerInputs[],
  k: number,
  most: number,
): Promise<number> {
  const tokenizer = requireTokenizer(model.tokenizer, model.weights.source, "the paper's text");
  const room = most - model.tokenizer!.prefix.length;
  writeFileSync(text, beginningOfFile(config.calibration.text[0]!, tokenizer, room));
  const file = join(out, "calibrate.toml");
  const { window, seed } = config.calibration;
  const table = {
    model: modelTable(config),
    calibration: { text: [text], tokens: most, window, seed },
    plan: { forms: ["gated"], k: [k] },
    target: config.target.names === null ? {} : { name: [...config.target.names] },
  };
  writeFileSync(file, TOML.stringify(table));
  const stats = join(out, "stats.safetensors");
  const { tokens } = await gsic<{ tokens: number }>(["calibrate", file, "--out", stats]);
  shareStatistics(stats, layers, sharedStats);
  rmSync(stats);
  return tokens;
}

async function cascades(
  { sharedStats, hidden: d }: Settings,
  layers: readonly LayerInputs[],
  k: readonly number[],
  steps: number,
  fingerprint: string,
): Promise<Result["cascade"]> {
  const stats = await openStats(sharedStats, fingerprint);
  const algebra = new Algebra();
  try {
    const result: Record<string, Awaited<ReturnType<typeof cascade>>> = {};
    for (const one of k) result[one] = await cascade(stats, layers, { d, k: one, steps }, algebra);
    return result;
  } finally {
    await algebra.close();
  }
}

function positive(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new InvalidArgumentError("not a positive integer");
}

function fraction(text: string): number {
  const value = Number(text);
  if (value > 0 && value <= 1) return value;
  throw new InvalidArgumentError("not above 0 and at most 1");
}

const each =
  <T>(parse: (text: string) => T) =>
  (text: string) =>
    text.split(",").map(parse);

const command = new Command("paper")
  .description("run the protocol of arXiv 2605.03109 and the honest one, and write table.md and table.json")
  .argument("<model.toml>", "a model with texts to calibrate on and to measure on")
  .option("--k <k>", "basis sizes (default: 256, or half of a hidden size up to 256)", each(positive), [])
  .option("--epsilon <e>", "gate thresholds", each(fraction), [0.05, 0.1])
  .option("--tokens <n>", "tokens that the paper's protocol calibrates on and measures", positive, 512)
  .option("--steps <n>", "steps of subspace iteration in the cascade", positive, 2)
  .option("--out <dir>", "where the tables go (default: build/paper/<name>)")
  .option("--target <names>", "targets of the builds (default: the configuration's)", each(String))
  .exitOverride()
  .action(run);

try {
  await command.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : exitCodes.usage;
  else if (error instanceof GsicError) {
    process.stderr.write(describe(error));
    process.exitCode = error.exitCode;
  } else throw error;
}
