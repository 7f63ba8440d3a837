import { dense } from "../ir/forms.js";
import type { ValueId } from "../ir/graph.js";
import type { LinearPlan, Plan } from "../ir/plan.js";
import type { SearchReport, TypesReport } from "../report/search.js";
import { size } from "../support/text.js";
import type { MeasuredPoint } from "./frontier.js";
import { klText } from "./kl-text.js";
import { measuredPart } from "./objective.js";
import type { TypeEffects } from "./type-effects.js";
import { type OfferedType, type TypeDecision, type TypeOption, weightsOf } from "./type-options.js";

/** A plan of types, before it is measured and then. */
export interface TypesPlan extends Omit<MeasuredPoint, "quality"> {
  readonly key: string;
  readonly plan: Plan;
  readonly chosen: readonly TypeOption[];
  /** Of the file's tensors. */
  readonly fileBytes: number;
}
/** The same, measured. */
export type TypesPoint = TypesPlan & MeasuredPoint;

/** What the planner of types found; `points` are the smallest file first. */
interface TypesSearch {
  readonly points: readonly TypesPoint[];
  readonly point: TypesPoint;
  readonly decisions: readonly TypeDecision[];
  readonly effects: TypeEffects;
}

/** The chosen plan, every linear with its reason. */
export function withTypeVerdicts({ point, decisions }: TypesSearch): Plan {
  const linears = new Map<ValueId, LinearPlan>(point.plan.linears);
  decisions.forEach(({ matrix, options }, index) => {
    const { type, bytes, loss } = point.chosen[index]!;
    const share = point.predictedKl === 0 ? 0 : loss / point.predictedKl;
    const verdict =
      type === null
        ? "stays as it is stored"
        : `${type}: ${percent(bytes / options[0]!.bytes)} of the stored bytes for ${percent(share)} of the KL`;
    for (const id of matrix.linears) linears.set(id, { ...linears.get(id)!, verdict });
  });
  return { ...point.plan, linears };
}

/** What report.json says of the search; `maxKl` is null where a size was given. */
export function typesReport(found: TypesSearch, maxKl: number | null, maxBytes: number | null): SearchReport {
  const { points, point, decisions } = found;
  const stored = points.find(({ predictedKl }) => predictedKl === 0)!;
  const types = typesOf(found, maxBytes);
  return {
    max_kl: maxKl,
    pays: point !== stored,
    verdict: verdictOf(point, stored, types),
    dense: { bytes_per_token: stored.meanBytes, seconds_per_token: stored.seconds },
    frontier: points.map((one) => ({
      chosen: one === point,
      ...measuredPart(one, stored),
      file_bytes: one.fileBytes,
    })),
    round_to_nearest: [],
    validation_tokens: point.quality.tokens,
    types,
    inputs: point.plan.groups.map((group) => inputOf(found, group, decisions)),
  };
}

function typesOf({ point, decisions }: TypesSearch, maxBytes: number | null): TypesReport {
  const matrices = decisions.map(({ matrix }, index) => {
    const { type, bytes, loss } = point.chosen[index]!;
    const { dtype } = matrix.parts[0]!;
    return { name: matrix.name, type: type ?? dtype, weights: weightsOf(matrix), bytes, predicted_kl: loss };
  });
  const total = (of: (one: (typeof matrices)[number]) => number) =>
    matrices.reduce((sum, one) => sum + of(one), 0);
  return {
    max_bytes: maxBytes,
    bytes: point.fileBytes,
    bits_per_weight: (8 * total(({ bytes }) => bytes)) / total(({ weights }) => weights),
    matrices,
  };
}

/** The linears of one input: their errors, and the KL that they are predicted to cause. */
function inputOf(
  { point, effects }: TypesSearch,
  group: Plan["groups"][number],
  decisions: readonly TypeDecision[],
): SearchReport["inputs"][number] {
  const lost = group.linears.map((id) => {
    const index = decisions.findIndex(({ matrix }) => matrix.linears.includes(id));
    const type = point.chosen[index]?.type ?? null;
    return type === null || type === "f16"
      ? { error: 0, divergence: 0 }
      : effects.linear(id, type as OfferedType);
  });
  const predicted = lost.reduce((sum, { divergence }) => sum + divergence, 0);
  const error = lost.reduce((sum, one) => sum + one.error, 0);
  const bytes = group.linears.reduce((sum, id) => sum + point.plan.linears.get(id)!.bytes.fast, 0);
  return {
    ...group,
    form: dense,
    bytes_per_token: bytes,
    seconds_per_token: (point.seconds * bytes) / point.meanBytes,
    errors: lost.map((one) => one.error),
    sensitivity: error === 0 ? 0 : predicted / error,
    predicted_kl: predicted,
    kl_share: point.predictedKl === 0 ? 0 : predicted / point.predictedKl,
    activations: null,
    rejected: [],
  };
}

function verdictOf({ quality, fileBytes }: TypesPoint, stored: TypesPoint, types: TypesReport): string {
  const { value, low, high } = quality.kl;
  const kl = `${klText(value)} [${klText(low)}, ${klText(high)}]`;
  const share = percent(fileBytes / stored.fileBytes);
  const bits = types.bits_per_weight.toFixed(2);
  return `The tensors of its GGUF file take ${size(fileBytes)}, ${bits} bits a weight and ${share} of what is stored. The KL on validation text is ${kl}.`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
