import type { Algebra } from "../calibrate/algebra.js";
import { type BlockLosses, blockBytes } from "../calibrate/blocks.js";
import type { Factors } from "../calibrate/factors.js";
import type { StatsFile } from "../calibrate/stats-file.js";
import type { EmbeddingNode, Graph, ValueId } from "../ir/graph.js";
import type { InputGroup } from "../ir/plan.js";
import { multipliedType } from "../ir/rounded.js";
import type { InputStats } from "../ir/statistics.js";
import { linearById } from "../ir/walk.js";
import { dequantize } from "../read/dequantize.js";
import { keptBlocks } from "../read/iq4-nl.js";
import type { Weights } from "../read/weights.js";
import type { Progress } from "../support/progress.js";
import type { Tokens } from "./attention-gradient.js";
import type { Ledger } from "./ledger.js";
import { ofGroups } from "./sensitivity.js";
import { type OfferedType, offeredTypes } from "./type-options.js";

/** What effects are computed from. */
interface TypeEffectsJob {
  readonly graph: Graph;
  readonly weights: Weights;
  readonly algebra: Algebra;
  readonly factors: Factors;
  readonly stats: StatsFile;
  readonly ledger: Ledger;
  readonly progress: Progress;
}

/** What types of GGUF do in linears and in the embedding of tokens. */
export interface TypeEffects {
  /** E||y' - y||^2 of a linear, on calibration activations, and the KL that it is predicted to cause. */
  readonly linear: (
    id: ValueId,
    type: OfferedType,
  ) => { readonly error: number; readonly divergence: number };
  /** The KL that the embedding's rows are predicted to cause. */
  readonly embedding: (type: OfferedType) => number;
}

/** A text to look at; its name tells it from others. */
type NamedTokens = Tokens & { readonly name: string };

/** What each type does, the mean over some texts. */
export async function measureTypeEffects(
  job: TypeEffectsJob,
  groups: readonly InputGroup[],
  texts: readonly NamedTokens[],
): Promise<TypeEffects> {
  const all: TypeEffects[] = [];
  for (const text of texts) all.push(await effectsOn(job, groups, text));
  const mean = (of: (one: TypeEffects) => number) => all.reduce((sum, one) => sum + of(one), 0) / all.length;
  return {
    linear: (id, type) => ({
      error: mean((one) => one.linear(id, type).error),
      divergence: mean((one) => one.linear(id, type).divergence),
    }),
    embedding: (type) => mean((one) => one.embedding(type)),
  };
}

/** The same on one text, from one pass backwards through the model, as for tiers (sensitivity.ts). */
async function effectsOn(
  job: TypeEffectsJob,
  groups: readonly InputGroup[],
  text: NamedTokens,
): Promise<TypeEffects> {
  const { graph, factors, ledger } = job;
  const typesOf = ({ linears }: InputGroup) => offeredTypes(linearById(graph, linears[0]!).weight.d);
  const keyOf = (group: InputGroup) => `types: ${JSON.stringify([text.name, group, typesOf(group)])}`;
  const table = graph.nodes.find(
    (node): node is EmbeddingNode => node.kind === "embedding" && node.index === "token",
  )!;
  const tableKey = `types: ${JSON.stringify([text.name, table.id])}`;
  let gradient: Float32Array | undefined;
  const listen = (found: Float32Array) => {
    gradient = found;
  };
  const losses = await ofGroups<readonly BlockLosses[]>(job, groups, text, {
    name: keyOf,
    title: "Computing every matrix in every type",
    compute: (known) => factors.blockLosses(known.group, typesOf(known.group), known),
    ...(ledger.has(tableKey) ? {} : { embedding: listen }),
  });
  const rows = await ledger.get(tableKey, () => embeddingLosses(job, table, text.ids, gradient!));
  return {
    linear: (id, type) => {
      const index = groups.findIndex(({ linears }) => linears.includes(id));
      const one = losses[index]![typesOf(groups[index]!).indexOf(type)]!;
      const place = groups[index]!.linears.indexOf(id);
      return { error: one.errors[place]!, divergence: one.divergences[place]! };
    },
    embedding: (type) => rows[offeredTypes(table.table.d).indexOf(type)]!,
  };
}

/** By type, the KL that rounded rows cause: the mean over tokens of (s e . g)^2 / 2, with the error e of the token's row, scaled by s. */
async function embeddingLosses(
  { graph, weights, algebra, stats }: TypeEffectsJob,
  { table, scale }: EmbeddingNode,
  ids: Int32Array,
  gradient: Float32Array,
): Promise<number[]> {
  const { d, tensor } = table;
  const head = graph.nodes.find((node) => node.kind === "linear" && node.weight.tensor === tensor);
  const known: InputStats | null = head?.kind === "linear" ? stats.read(head.input, d) : null;
  const rows = new Float32Array(ids.length * d);
  ids.forEach((id, token) => {
    rows.set(weights.readRows(table, id, 1), token * d);
  });
  const losses: number[] = [];
  for (const type of offeredTypes(d)) {
    const bytes = keptBlocks(type, await blockBytes(algebra, type, rows, d, known));
    const values = dequantize(multipliedType(type), bytes, rows.length);
    let sum = 0;
    for (let token = 0; token < ids.length; token++) {
      let along = 0;
      for (let at = token * d; at < (token + 1) * d; at++) along += (rows[at]! - values[at]!) * gradient[at]!;
      sum += (scale * along) ** 2 / 2;
    }
    losses.push(sum / ids.length);
  }
  return losses;
}
