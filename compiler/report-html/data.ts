import { timesOfMode } from "../bench/launch-times.js";
import { meanBytes, oneTier } from "../evaluate/account.js";
import { planJson } from "../inspect/table.js";
import { formText, kindOf } from "../ir/forms.js";
import type { ValueId } from "../ir/graph.js";
import { programsOf } from "../ir/modes.js";
import type { ByteAccount, Form, FormKind, Plan } from "../ir/plan.js";
import type { ProgramMode } from "../ir/program.js";
import { nodeIndex, partOf } from "../ir/walk.js";
import type { Evaluation, TierShares } from "../report/evaluation.js";
import type { ListedPass, ProgramJson } from "../report/program-json.js";
import type { Report } from "../report/report.js";
import type { Rejection, SearchReport } from "../report/search.js";

/** What report.html is made from. */
export interface PageInput {
  readonly plan: Plan;
  readonly report: Report;
  readonly program: ProgramJson;
  /** The emitted sources by symbol. */
  readonly sources: ReadonlyMap<string, string>;
}

/** A cost before and after the rewriting. */
interface Change {
  readonly dense: number;
  /** Null where the gates decide, and nothing says how often they close. */
  readonly plan: number | null;
}

/** One linear, as the page shows it. */
export interface LinearRow {
  readonly id: ValueId;
  readonly layer: number | null;
  /** Its name within the layer. */
  readonly part: string;
  readonly input: ValueId;
  readonly tensor: string;
  readonly dtype: string;
  readonly shape: readonly [out: number, d: number];
  readonly kind: FormKind;
  readonly form: string;
  /** Of the basis; null without one. */
  readonly k: number | null;
  readonly epsilon: number | null;
  readonly bits: number | null;
  readonly rank: number | null;
  /** Of weights per token: the mean where gates decide. */
  readonly bytes: Change & { readonly fast: number; readonly slow: number };
  /** Predicted for reading these bytes. */
  readonly seconds: Change;
  /** Of the launches that read its weights, as far as they do; null where `gsic bench --launches` has not measured. */
  readonly measured: { readonly dense: number | null; readonly plan: number | null };
  /** E||y' - y||^2 on calibration text, the predicted KL and its share; null where no planner chose. */
  readonly error: number | null;
  readonly predictedKl: number | null;
  readonly klShare: number | null;
  readonly verdict: string;
  /** The launches that read its weights, by mode. */
  readonly kernels: readonly string[];
}

/** What the planner knew of one linear input. */
export interface InputRow {
  readonly input: ValueId;
  readonly layer: number | null;
  /** Its name within the layer. */
  readonly part: string;
  readonly linears: readonly ValueId[];
  readonly sensitivity: number | null;
  /** Fractions of tokens by tier; null without a gate, or before `gsic eval`. */
  readonly heldout: TierShares | null;
  readonly calibration: TierShares | null;
  /** The forms that lie on the front of time and KL, and were not taken. */
  readonly rejected: readonly {
    readonly form: string;
    readonly bytes: number;
    readonly seconds: number;
    readonly kl: number;
    readonly reason: string;
  }[];
  /** How many others there were. */
  readonly dominated: number;
  readonly activations: SearchReport["inputs"][number]["activations"];
}

/** All that the scripts of the page draw from. */
export interface PageData {
  readonly name: string;
  readonly linears: readonly LinearRow[];
  readonly inputs: readonly InputRow[];
  readonly search: Pick<
    SearchReport,
    "max_kl" | "dense" | "frontier" | "round_to_nearest" | "validation_tokens"
  > | null;
  /** What `gsic eval` found. */
  readonly quoted: {
    readonly heldout: Evaluation["heldout"];
    readonly bytes: number;
    readonly dense: number;
  } | null;
  /** Nodes of the graph that are no linears. */
  readonly others: readonly {
    readonly id: ValueId;
    readonly layer: number | null;
    readonly part: string;
    readonly kind: string;
    readonly kernels: readonly string[];
  }[];
}

/** Everything of a build that its page shows, as plain data. */
export function pageData(input: PageInput): PageData {
  const { plan, report, program } = input;
  const { search, evaluation } = report;
  const kernels = kernelsByNode(plan, program);
  const bandwidth = report.bytes_per_token.dense / report.prediction.dense.memory;
  const measured = measuredSeconds(input);
  return {
    name: report.name,
    linears: planJson(plan, search).linears.map((linear) => {
      const { bytes, form } = linear;
      const shares = sharesOf(report, linear.input, form);
      const mean = shares === null ? null : meanBytes(bytes, shares);
      const [subspace, tier] = [form.gate, form.tier];
      return {
        id: linear.linear,
        layer: linear.layer,
        part: partOf({ id: linear.linear, layer: linear.layer }),
        input: linear.input,
        tensor: linear.tensor,
        dtype: linear.dtype,
        shape: linear.shape,
        kind: kindOf(form),
        form: formText(form),
        k: subspace?.k ?? null,
        epsilon: subspace?.epsilon ?? null,
        bits: tier?.quantizer.bits ?? null,
        rank: tier?.rank ?? null,
        bytes: { dense: bytes.dense, plan: mean, fast: bytes.fast, slow: bytes.slow },
        seconds: { dense: bytes.dense / bandwidth, plan: mean === null ? null : mean / bandwidth },
        measured: {
          dense: measured.dense?.get(linear.linear) ?? null,
          plan: measured.plan?.get(linear.linear) ?? null,
        },
        error: linear.search?.error ?? null,
        predictedKl: linear.search?.predicted_kl ?? null,
        klShare: linear.search?.kl_share ?? null,
        verdict: linear.verdict,
        kernels: kernels.get(linear.linear) ?? [],
      };
    }),
    inputs: plan.groups.map((group) => inputRow(report, plan, group)),
    search: search && {
      max_kl: search.max_kl,
      dense: search.dense,
      frontier: search.frontier,
      round_to_nearest: search.round_to_nearest,
      validation_tokens: search.validation_tokens,
    },
    quoted: evaluation && {
      heldout: evaluation.heldout,
      bytes: evaluation.bytes_per_token.plan_mean,
      dense: evaluation.bytes_per_token.dense,
    },
    others: plan.graph.nodes
      .filter(({ kind }) => kind !== "linear")
      .map(({ id, kind, layer }) => ({
        id,
        kind,
        layer,
        part: partOf({ id, layer }),
        kernels: kernels.get(id) ?? [],
      })),
  };
}

function inputRow(
  { search, evaluation }: Report,
  { graph }: Plan,
  { input, linears }: Plan["groups"][number],
): InputRow {
  const node = nodeIndex(graph).get(input)!;
  const found = search?.inputs.find((one) => one.input === input);
  const rejected = found?.rejected ?? [];
  // The others are no faster than dense, or than a form that loses no more.
  const front = rejected.filter(({ why }) => why !== "slower" && why !== "dominated");
  return {
    input,
    linears,
    layer: node.layer,
    part: partOf(node),
    sensitivity: found?.sensitivity ?? null,
    heldout: evaluation?.heldout?.tiers.by_input[input] ?? null,
    calibration: evaluation?.calibration?.tiers.by_input[input] ?? null,
    rejected: front.map((one) => ({
      form: formText(one.form),
      bytes: one.bytes_per_token,
      seconds: one.seconds_per_token,
      kl: one.predicted_kl,
      reason: rejectionText(one),
    })),
    dominated: rejected.length - front.length,
    activations: found?.activations ?? null,
  };
}

function rejectionText(rejection: Rejection): string {
  switch (rejection.why) {
    case "slower":
      return "no faster than dense";
    case "dominated":
      return `${formText(rejection.by)} is no slower and loses no more`;
    case "saves-too-little":
      return "the KL that it saves is cheaper elsewhere";
    case "loses-too-much":
      return "the KL that it costs buys more elsewhere";
    default:
      return rejection satisfies never;
  }
}

/** Fractions of tokens by tier on held-out text, of the linears that read an input; null where they are not known. */
function sharesOf({ evaluation }: Report, input: ValueId, form: Form): TierShares | null {
  if (form.gate === null && (form.tier?.exact ?? null) === null) return oneTier;
  return evaluation?.heldout?.tiers.by_input[input] ?? null;
}

/** The kernels that compute a value, or read a linear's weights, in the order of the launches of the first mode. */
function kernelsByNode(plan: Plan, program: ProgramJson): ReadonlyMap<ValueId, readonly string[]> {
  const found = new Map<ValueId, Set<string>>();
  for (const pass of Object.values(program.modes).slice(0, 1))
    for (const { kernel, nodes } of launchedNodes(plan, pass))
      for (const id of nodes) found.set(id, (found.get(id) ?? new Set()).add(kernel));
  return new Map([...found].map(([id, symbols]) => [id, [...symbols]]));
}

/** What each linear was measured to take: of a launch that reads weights of several, the part that its bytes are. */
function measuredSeconds({ plan, report, program }: PageInput) {
  const bytes = new Map(report.linears.map(({ linear, bytes }) => [linear, bytes]));
  const ofMode = (mode: ProgramMode, weigh: (account: ByteAccount) => number) => {
    const times = timesOfMode(report.launch_times, mode);
    const pass = program.modes[mode];
    if (times === null || pass === undefined) return null;
    const seconds = new Map<ValueId, number>();
    launchedNodes(plan, pass).forEach(({ nodes }, index) => {
      const linears = nodes.filter((id) => bytes.has(id));
      const total = linears.reduce((sum, id) => sum + weigh(bytes.get(id)!), 0);
      for (const id of linears) {
        const part = weigh(bytes.get(id)!) / total;
        seconds.set(id, (seconds.get(id) ?? 0) + part * times.seconds[index]!);
      }
    });
    return seconds;
  };
  const first = programsOf(report)[0]!;
  return { dense: ofMode("exact", ({ dense }) => dense), plan: ofMode(first, ({ fast }) => fast) };
}

/** The launches of a pass, each with the nodes that it computes, and the linears whose weights it reads. */
function launchedNodes({ graph }: Plan, { body, head }: ListedPass) {
  const index = nodeIndex(graph);
  return [...body, ...head].map(({ kernel, writes, arguments: all }) => {
    const nodes = all.flatMap(({ name, value, rows }) => [
      ...(value !== null && index.has(value) && writes.includes(name) ? [value] : []),
      ...(rows === null ? [] : rows.linears),
    ]);
    return { kernel, nodes: [...new Set(nodes)] };
  });
}
