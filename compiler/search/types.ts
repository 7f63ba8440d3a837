/** The planner of llama.cpp's types: one for every matrix of a GGUF file, within a KL or a size. */
import { Factors } from "../calibrate/factors.js";
import type { RoundedMatrices } from "../calibrate/rounded.js";
import { calibrationTarget } from "../cc/machine.js";
import type { Config } from "../config/config.js";
import type { Target } from "../config/target.js";
import { oneTier } from "../evaluate/account.js";
import { dense } from "../ir/forms.js";
import type { MatrixRef, RoundedType } from "../ir/graph.js";
import type { Plan } from "../ir/plan.js";
import { mapMatrices, roundedMatrix } from "../ir/rounded.js";
import { accountBytes } from "../passes/account-bytes.js";
import type { SearchReport } from "../report/search.js";
import { candidateOf } from "./candidates.js";
import { Ledger } from "./ledger.js";
import { leastTimeWithin, type Objective } from "./objective.js";
import { defaultMaxKl, ledgerFile, type PlannerJob, probeTexts, validationText } from "./planner.js";
import { walkBudgets } from "./search.js";
import { measureTypeEffects, type TypeEffects } from "./type-effects.js";
import {
  type FileMatrix,
  leastBytes,
  leastBytesOf,
  leastLoss,
  type ModelFile,
  matrixBytesWithin,
  type TypeDecision,
  type TypeOption,
  typeOptions,
} from "./type-options.js";
import { type TypesPlan, type TypesPoint, typesReport, withTypeVerdicts } from "./type-report.js";

/** What the planner of types looks at. */
interface TypesJob extends Omit<PlannerJob, "mode"> {
  readonly file: ModelFile;
  readonly rounded: RoundedMatrices;
}

/** What plans are tried beside the one of the size that is asked for: what a tenth more or less buys. */
const sizes = [0.9, 1, 1.1];

/**
 * Chooses a type for every matrix of the file: the smallest file whose KL on validation text is, with its interval, within
 * the budget, or that of least predicted KL of the size that is asked for. The same inputs give the same plan, whatever
 * the number of threads. Throws `heldout-missing` and `size-too-small` (category usage).
 */
export async function planTypes(job: TypesJob): Promise<{ plan: Plan; report: SearchReport }> {
  const { model, config, targets, plan, stats, algebra, kept, progress, file, rounded } = job;
  const validation = validationText(job);
  const factors = new Factors(plan, model.weights, stats, algebra);
  const measuredOn = await calibrationTarget(targets);
  const ledger = await Ledger.open(await ledgerFile(job, measuredOn));
  const round = (one: Plan) =>
    rounded.make(one.graph, stats, progress.stage("Rounding matrices to their types"));
  const laboratory = { model, factors, kept, targets: [measuredOn], ledger, progress, round };
  const effects = await measureTypeEffects(
    { graph: plan.graph, weights: model.weights, algebra, factors, stats, ledger, progress },
    plan.groups,
    probeTexts(job, validation),
  );
  const decisions = file.matrices.map((matrix) => decisionOf(plan, matrix, effects));
  const { objective, choose, maxKl, maxBytes } = wanted(config, decisions, file);
  const make = (budget: number) => {
    const chosen = budget === 0 ? decisions.map(({ options }) => options[0]!) : choose(budget);
    return pointOf(job, decisions, chosen, targets[0]!);
  };
  const points = await walkBudgets(laboratory, validation, objective, make);
  points.sort((a, b) => a.fileBytes - b.fileBytes);
  const point = objective.best(points);
  await round(point.plan);
  const found = { points, point, decisions, effects };
  return { plan: withTypeVerdicts(found), report: typesReport(found, maxKl, maxBytes) };
}

/** What a plan is looked for, and the choice for a budget: of predicted KL, or of bytes. */
function wanted(
  config: Config,
  decisions: readonly TypeDecision[],
  { otherBytes }: ModelFile,
): {
  objective: Pick<Objective<TypesPoint>, "first" | "next" | "best">;
  choose: (budget: number) => readonly TypeOption[];
  maxKl: number | null;
  maxBytes: number | null;
} {
  const { maxSize, maxKl: configured } = config.quality;
  if (maxSize === null) {
    const maxKl = configured ?? defaultMaxKl;
    const choose = (budget: number) => leastBytes(decisions, budget);
    return { objective: leastTimeWithin<TypesPoint>(maxKl), choose, maxKl, maxBytes: null };
  }
  const most = matrixBytesWithin(maxSize, decisions, otherBytes, config.file);
  const least = leastBytesOf(decisions);
  const within = (points: readonly TypesPoint[]) =>
    points.filter(({ fileBytes }) => fileBytes <= most + otherBytes);
  return {
    objective: {
      first: sizes.map((share) => share * most).filter((bytes) => bytes >= least),
      next: () => [],
      // Of plans within the size the largest: the knapsack's own.
      best: (points) => within(points).at(-1)!,
    },
    choose: (budget) => leastLoss(decisions, budget)!,
    maxKl: null,
    maxBytes: most + otherBytes,
  };
}

/** The types of a matrix. What linears do not multiply by, but tokens, counts as the embedding alone. */
function decisionOf(plan: Plan, matrix: FileMatrix, effects: TypeEffects): TypeDecision {
  const isTable = plan.graph.nodes.some(
    (node) => node.kind === "embedding" && node.index === "token" && readsFrom(matrix, node.table),
  );
  const lost = matrix.linears.length > 0 || isTable;
  const options = typeOptions(matrix, (type) => {
    const linears = matrix.linears.reduce((sum, id) => sum + effects.linear(id, type).divergence, 0);
    return linears + (isTable ? effects.embedding(type) : 0);
  });
  return { matrix, options: lost ? options : options.slice(0, 1) };
}

function readsFrom({ parts }: FileMatrix, { tensor }: MatrixRef): boolean {
  return parts.some((part) => part.tensor === tensor);
}

/** The plan in which every matrix has a chosen type. */
function pointOf(
  { plan, file, targets }: TypesJob,
  decisions: readonly TypeDecision[],
  chosen: readonly TypeOption[],
  target: Target,
): TypesPlan {
  const types = new Map<string, RoundedType>();
  decisions.forEach(({ matrix }, index) => {
    const { type } = chosen[index]!;
    if (type !== null) for (const { tensor } of matrix.parts) types.set(tensor, type);
  });
  const graph = mapMatrices(plan.graph, (matrix) => {
    const type = types.get(matrix.tensor);
    return type === undefined ? matrix : roundedMatrix(matrix, type);
  });
  const groups = plan.groups.map((group) => {
    const none = group.linears.map(() => 0);
    return candidateOf(graph, group, dense, { errors: none, divergences: none }, oneTier, target);
  });
  const total = (of: (one: (typeof groups)[number]) => number) =>
    groups.reduce((sum, one) => sum + of(one), 0);
  return {
    key: `types: ${JSON.stringify([...types])}`,
    plan: accountBytes({ ...plan, graph }, { device: targets[0]!.device }),
    chosen,
    fileBytes: chosen.reduce((sum, { bytes }) => sum + bytes, file.otherBytes),
    predictedKl: chosen.reduce((sum, { loss }) => sum + loss, 0),
    seconds: total(({ seconds }) => seconds),
    meanBytes: total(({ meanBytes }) => meanBytes),
  };
}
