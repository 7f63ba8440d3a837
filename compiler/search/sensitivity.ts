import type { Algebra } from "../calibrate/algebra.js";
import type { Factors } from "../calibrate/factors.js";
import { quantizerOf } from "../ir/forms.js";
import type { Graph } from "../ir/graph.js";
import type { InputGroup, QuantizedTier, Quantizer } from "../ir/plan.js";
import { valueWidths } from "../ir/walk.js";
import type { Weights } from "../read/weights.js";
import type { Progress } from "../support/progress.js";
import type { Tokens } from "./attention-gradient.js";
import { neededOf } from "./derivatives.js";
import { backwardPass, type GroupGradients } from "./gradients.js";
import type { Ledger } from "./ledger.js";

/** Tokens that a backward pass runs over, in windows of `probeWindow`; one window at least. */
const probeTokens = 512;
const probeWindow = 256;
/** What the values of a pass may take, in bytes. */
const maxBytes = 2 ** 30;

/** What all groups are computed by, whatever is offered: it tells what any error there does to the model's output. */
const probe: QuantizedTier = { quantizer: quantizerOf(4), rank: 0, exact: null };

/** What a tier at few bits does in the linears of one input. */
export interface TierEffect {
  readonly tier: QuantizedTier;
  /** E||y' - y||^2 by linear, on calibration activations. */
  readonly errors: readonly number[];
  /** The KL of the model's output that this is predicted to cause, in nats per token, by linear. */
  readonly divergences: readonly number[];
  /** The share of its squared error that the tokens with the largest have, by the fractions of `topFractions`. */
  readonly tops: readonly number[];
}

/** Fractions of the tokens, ascending. */
export const topFractions = [0.06, 0.18] as const;

/** What is known of a group before whole plans are measured. */
export interface GroupEffects {
  readonly tiers: readonly TierEffect[];
  /** KL per unit of E||y' - y||^2, by linear. */
  readonly sensitivities: readonly number[];
}

/** What effects are computed from. */
interface EffectsJob {
  readonly graph: Graph;
  readonly weights: Weights;
  readonly algebra: Algebra;
  readonly factors: Factors;
  readonly ledger: Ledger;
  readonly progress: Progress;
}

/**
 * What tiers do in every group: their local errors, and the KL that these cause, from one pass backwards through the
 * model (gradients.ts).
 */
export function measureEffects(
  job: EffectsJob,
  groups: readonly InputGroup[],
  tiersOf: (group: InputGroup) => readonly QuantizedTier[],
  text: Tokens & { readonly name: string },
): Promise<readonly GroupEffects[]> {
  return ofGroups(job, groups, text, {
    name: (group) => `effects: ${JSON.stringify([text.name, group, tiersOf(group)])}`,
    title: "Computing every linear in every form",
    compute: (known) => effectsOf(job.factors, known, tiersOf(known.group)),
  });
}

/** What is computed of every group, and what it is called in the ledger. */
interface GroupWork<T> {
  readonly name: (group: InputGroup) => string;
  readonly title: string;
  readonly compute: (known: GroupGradients) => Promise<T>;
  /** Is told what the rows of tokens do that the embedding gives; asks for a pass of its own. */
  readonly embedding?: (gradient: Float32Array) => void;
}

/** What is computed of groups as a pass backwards comes to them; they are kept in the ledger one by one. */
export async function ofGroups<T>(
  { graph, weights, algebra, ledger, progress }: Omit<EffectsJob, "factors">,
  groups: readonly InputGroup[],
  text: Tokens,
  { name, title, compute, embedding }: GroupWork<T>,
): Promise<readonly T[]> {
  const missing = groups.filter((group) => !ledger.has(name(group)));
  if (missing.length > 0 || embedding !== undefined) {
    const rows = rowsOf(graph);
    const all = missing.reduce((sum, { linears }) => sum + rows(linears), 0);
    const update = progress.stage(`${title}, ${text.ids.length} tokens back through the model`);
    // Of the time, a tenth is the pass itself.
    let [passed, done] = [0, 0];
    const show = () => update(passed + 9 * done, 10);
    const told = embedding === undefined ? {} : { embedding };
    const pass = backwardPass({ graph, weights, algebra, groups: missing, ...told }, text, (now, total) => {
      passed = now / total;
      show();
    });
    for await (const known of pass) {
      await ledger.add([[name(known.group), await compute(known)]]);
      done += rows(known.group.linears) / all;
      show();
    }
  }
  return groups.map((group) => ledger.read<T>(name(group)));
}

/**
 * The effects of tiers. Those of the probe, and of every rank with the probe's bits, are computed; other bits have them
 * times the ratio of their errors to the probe's in some rows, without a correction: README.md has the figures.
 */
async function effectsOf(
  factors: Factors,
  known: GroupGradients,
  tiers: readonly QuantizedTier[],
): Promise<GroupEffects> {
  const { quantizer } = probe;
  const ranks = [...new Set([0, ...tiers.map(({ rank }) => rank)])];
  const quantizers = distinct([quantizer, ...tiers.map((tier) => tier.quantizer)]);
  const sampled = quantizers.length === 1 ? [] : quantizers;
  const losses = await factors.tierLosses(
    known.group,
    [
      ...ranks.map((rank) => ({ quantizer, rank, sampled: false })),
      ...sampled.map((one) => ({ quantizer: one, rank: 0, sampled: true })),
    ],
    known,
  );
  const some = losses.slice(ranks.length);
  const ratio = (index: number, linear: number) => {
    const [error, base] = [some[index], some[0]].map((one) => one?.errors[linear] ?? 1) as [number, number];
    return base === 0 ? 1 : error / base;
  };
  const effects = tiers.map((tier): TierEffect => {
    const { errors, divergences, tokens } = losses[ranks.indexOf(tier.rank)]!;
    const index = quantizers.findIndex((one) => isSame(one, tier.quantizer));
    return {
      tier,
      errors: errors.map((error, linear) => error * ratio(index, linear)),
      divergences: divergences.map((one, linear) => one * ratio(index, linear)),
      tops: topShares(tokens),
    };
  });
  const { errors, divergences } = losses[0]!;
  const sensitivities = errors.map((error, index) => (error === 0 ? 0 : divergences[index]! / error));
  return { tiers: effects, sensitivities };
}

function distinct(quantizers: readonly Quantizer[]): Quantizer[] {
  return quantizers.filter((one, index) => quantizers.findIndex((other) => isSame(one, other)) === index);
}

function isSame(a: Quantizer, b: Quantizer): boolean {
  return a.bits === b.bits && a.group === b.group && a.symmetric === b.symmetric;
}

/** Elements of weights. */
function rowsOf(graph: Graph): (linears: readonly string[]) => number {
  const sizes = new Map(
    graph.nodes.flatMap((node) =>
      node.kind === "linear" ? [[node.id, node.weight.out * node.weight.d]] : [],
    ),
  );
  return (linears) => linears.reduce((sum, id) => sum + sizes.get(id)!, 0);
}

function topShares(tokens: Float32Array): number[] {
  const sorted = tokens.toSorted().reverse();
  const all = sorted.reduce((sum, value) => sum + value, 0);
  return topFractions.map((fraction) => {
    const count = Math.ceil(fraction * sorted.length);
    return all === 0 ? 0 : sorted.subarray(0, count).reduce((sum, value) => sum + value, 0) / all;
  });
}

/**
 * The tokens of a backward pass: windows evenly spaced over a text that is read in windows of `window`, each cut to
 * `probeWindow`, as many as fit into memory, and one at least.
 */
export function probeTokensOf(graph: Graph, ids: Int32Array, window: number): Tokens {
  const length = Math.min(probeWindow, window);
  const widths = valueWidths(graph);
  const needed = new Set([graph.output, graph.output, ...graph.nodes.flatMap(neededOf)]);
  const bytes = 4 * [...needed].reduce((sum, id) => sum + widths.get(id)!, 0);
  const most = Math.max(1, Math.floor(Math.min(probeTokens, maxBytes / bytes) / length));
  const whole = Math.max(1, Math.floor(ids.length / window));
  const count = Math.min(most, whole);
  const starts = Array.from({ length: count }, (_, i) => Math.floor((i * whole) / count) * window);
  const parts = starts.map((start) => ids.subarray(start, start + length));
  return { ids: Int32Array.from(parts.flatMap((part) => [...part])), window: length };
}
