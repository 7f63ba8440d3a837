import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Built } from "../build-folder/open.js";
import type { ValueId } from "../ir/graph.js";
import { programsOf } from "../ir/modes.js";
import type { ByteAccount, Form } from "../ir/plan.js";
import type { Mode } from "../ir/program.js";
import type { Estimate } from "../report/evaluation.js";
import type { Report } from "../report/report.js";

/** A figure in the first build and in the second; null where that has none. */
export type Pair<T> = readonly [first: T | null, second: T | null];

/** What `gsic diff --json` prints. */
export interface BuildDiff {
  /** Whether nothing below differs. */
  readonly same: boolean;
  readonly builds: readonly [BuildName, BuildName];
  /** Whether both are builds of the same weights. */
  readonly same_model: boolean;
  readonly bytes_per_token: Readonly<Record<"dense" | "fast" | "slow", Pair<number>>>;
  readonly predicted_seconds_per_token: Readonly<Record<"dense" | "fast" | "slow", Pair<number>>>;
  readonly launches_per_token: Readonly<Partial<Record<Mode, Pair<number>>>>;
  readonly quality: {
    /** Of the chosen plan, on the planner's validation text. */
    readonly validation_kl: Pair<Estimate>;
    /** What `gsic eval` recorded, on held-out text. */
    readonly heldout_kl: Pair<Estimate>;
    readonly heldout_perplexity_ratio: Pair<Estimate>;
    readonly heldout_top1: Pair<Estimate>;
    readonly calibration_kl: Pair<Estimate>;
    readonly mean_bytes_per_token: Pair<number>;
  };
  /** What `gsic bench` recorded: tokens per second by mode. */
  readonly speed: Readonly<Partial<Record<string, Pair<number>>>>;
  readonly linears: {
    readonly same: number;
    readonly changed: readonly LinearChange[];
    readonly only_in_first: readonly ValueId[];
    readonly only_in_second: readonly ValueId[];
  };
  readonly kernels: {
    readonly same: number;
    /** Of one symbol, with another source or other resource facts. */
    readonly changed: readonly {
      readonly symbol: string;
      readonly source: boolean;
      readonly facts: boolean;
    }[];
    readonly only_in_first: readonly string[];
    readonly only_in_second: readonly string[];
    /** Headers under kernels/include that differ, or that only one build has. */
    readonly headers: readonly string[];
  };
}

interface BuildName extends Pick<Report, "name" | "gsic" | "mode" | "targets"> {
  readonly folder: string;
}

/** A linear of both builds whose form or bytes differ; pairs are of the first build and of the second. */
export interface LinearChange {
  readonly linear: ValueId;
  /** Null outside the layers. */
  readonly layer: number | null;
  readonly form: readonly [Form, Form];
  readonly bytes: readonly [ByteAccount, ByteAccount];
  readonly verdict: readonly [string, string];
}

/** Compares two finished builds by what lies in their folders; weights and machine code are not compared. */
export function diffBuilds(first: Built, second: Built): BuildDiff {
  const both = [first, second] as const;
  const reports = [first.report, second.report] as const;
  const pair = <T>(of: (report: Report) => T | null | undefined): Pair<T> => [
    of(reports[0]) ?? null,
    of(reports[1]) ?? null,
  ];
  const found: Omit<BuildDiff, "same"> = {
    builds: [nameOf(first), nameOf(second)],
    same_model: first.report.model.fingerprint === second.report.model.fingerprint,
    bytes_per_token: tiers((tier) => pair((report) => report.bytes_per_token[tier])),
    predicted_seconds_per_token: tiers((tier) => pair((report) => report.predicted_seconds_per_token[tier])),
    launches_per_token: Object.fromEntries(
      [...new Set(reports.flatMap(programsOf))].map((mode) => [
        mode,
        pair((report) => report.launches_per_token[mode]),
      ]),
    ),
    quality: {
      validation_kl: pair(({ search }) => search?.frontier.find(({ chosen }) => chosen)?.kl),
      heldout_kl: pair(({ evaluation }) => evaluation?.heldout?.kl),
      heldout_perplexity_ratio: pair(({ evaluation }) => evaluation?.heldout?.perplexity_ratio),
      heldout_top1: pair(({ evaluation }) => evaluation?.heldout?.top1),
      calibration_kl: pair(({ evaluation }) => evaluation?.calibration?.kl),
      mean_bytes_per_token: pair(({ evaluation }) => evaluation?.bytes_per_token.plan_mean),
    },
    speed: Object.fromEntries(
      [...new Set(reports.flatMap(({ speed }) => Object.keys(speed?.modes ?? {})))].map((mode) => [
        mode,
        pair(({ speed }) => speed?.modes[mode]?.decode_tokens_per_second?.median),
      ]),
    ),
    linears: diffLinears(...reports),
    kernels: diffKernels(...both),
  };
  return { same: isSame(found), ...found };
}

function nameOf({ folder, report: { name, gsic, mode, targets } }: Built): BuildName {
  return { folder, name, gsic, mode, targets };
}

function tiers<T>(of: (tier: "dense" | "fast" | "slow") => T): Record<"dense" | "fast" | "slow", T> {
  return { dense: of("dense"), fast: of("fast"), slow: of("slow") };
}

function diffLinears(first: Report, second: Report): BuildDiff["linears"] {
  const others = new Map(second.linears.map((linear) => [linear.linear, linear]));
  const known = new Set(first.linears.map(({ linear }) => linear));
  const changed: LinearChange[] = [];
  let same = 0;
  for (const { linear, layer, form, bytes, verdict } of first.linears) {
    const other = others.get(linear);
    if (other === undefined) continue;
    if (equal([form, bytes], [other.form, other.bytes])) same++;
    else
      changed.push({
        linear,
        layer,
        form: [form, other.form],
        bytes: [bytes, other.bytes],
        verdict: [verdict, other.verdict],
      });
  }
  return {
    same,
    changed,
    only_in_first: [...known].filter((id) => !others.has(id)),
    only_in_second: [...others.keys()].filter((id) => !known.has(id)),
  };
}

function diffKernels(first: Built, second: Built): BuildDiff["kernels"] {
  const facts = ({ report }: Built) =>
    new Map(report.kernels.map(({ symbol, launch, resources }) => [symbol, [launch, resources]]));
  const [ours, theirs] = [facts(first), facts(second)];
  const compared = [...ours.keys()]
    .filter((symbol) => theirs.has(symbol))
    .map((symbol) => ({
      symbol,
      source: sourceOf(first, symbol) !== sourceOf(second, symbol),
      facts: !equal(ours.get(symbol), theirs.get(symbol)),
    }));
  const changed = compared.filter(({ source, facts: other }) => source || other);
  return {
    same: compared.length - changed.length,
    changed,
    only_in_first: [...ours.keys()].filter((symbol) => !theirs.has(symbol)),
    only_in_second: [...theirs.keys()].filter((symbol) => !ours.has(symbol)),
    headers: diffHeaders(first, second),
  };
}

function sourceOf({ folder }: Built, symbol: string): string | null {
  return textOf(join(folder, "kernels", `${symbol}.cpp`));
}

function diffHeaders(first: Built, second: Built): string[] {
  const include = ({ folder }: Built) => join(folder, "kernels/include");
  const names = [first, second].flatMap((built) => filesBelow(include(built)));
  return [...new Set(names)]
    .sort()
    .filter((name) => textOf(join(include(first), name)) !== textOf(join(include(second), name)));
}

function filesBelow(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
}

function textOf(file: string): string | null {
  return existsSync(file) ? readFileSync(file, "utf8") : null;
}

/** Whether two values read from JSON are the same; their keys are in the order in which one program wrote them. */
function equal(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function isSame({
  builds: [a, b],
  same_model,
  linears,
  kernels,
  quality,
  ...figures
}: Omit<BuildDiff, "same">): boolean {
  const { changed, only_in_first: first, only_in_second: second } = linears;
  const lists = [changed, first, second, kernels.changed, kernels.only_in_first, kernels.only_in_second];
  const { speed: _, ...predicted } = figures;
  const pairs = [
    ...Object.values(quality),
    ...Object.values(predicted).flatMap((group) => Object.values(group)),
  ];
  return (
    same_model &&
    equal({ ...a, folder: "" }, { ...b, folder: "" }) &&
    [...lists, kernels.headers].every(({ length }) => length === 0) &&
    pairs.every(([one, other]) => equal(one, other))
  );
}
