import { formText, isDenseForm, kindOf, quantizerText, thresholdText } from "../ir/forms.js";
import type { MatrixRef, Node, RoundedType, ValueId } from "../ir/graph.js";
import type { ByteAccount, Form, Plan } from "../ir/plan.js";
import { originalMatrix } from "../ir/rounded.js";
import { inputsOf, linearById, partOf } from "../ir/walk.js";
import { elementText } from "../layout/shape.js";
import { bytesPerToken } from "../passes/cost.js";
import type { RejectedForm, SearchReport } from "../report/search.js";
import { size, visible, wrap } from "../support/text.js";

// ------------------------------------------------------------------------------------------------------ json

/** One linear of a plan, as plain data. */
interface LinearJson {
  readonly linear: ValueId;
  /** Null for what stands outside the layers, such as the output head. */
  readonly layer: number | null;
  /** The value that it reads; linears of one input share one basis. */
  readonly input: ValueId;
  readonly tensor: string;
  readonly dtype: string;
  /** The type of GGUF that it is rounded to, where it is. */
  readonly rounded?: RoundedType;
  /** [out, d]. */
  readonly shape: readonly [number, number];
  readonly form: Form;
  readonly bytes: ByteAccount;
  readonly verdict: string;
  /** What the planner knew of it; null where no planner chose its form. */
  readonly search: LinearSearch | null;
}

/** Why a linear has its form. Candidates are forms of all linears that read its input, and so are their figures. */
interface LinearSearch {
  /** E||y' - y||^2 of this linear, on calibration text. */
  readonly error: number;
  /** Of this linear, in nats per token, and its share of the whole plan's. */
  readonly predicted_kl: number;
  readonly kl_share: number;
  readonly rejected: readonly RejectedForm[];
}

/** A plan as plain data: all linears in execution order. */
export interface PlanJson {
  readonly name: string;
  readonly family: string;
  readonly vocabulary: number;
  readonly context: number;
  readonly linears: readonly LinearJson[];
  readonly bytes_per_token: ByteAccount;
  /** How the planner came to it, but for what the linears say; null where no planner did. */
  readonly search: Omit<SearchReport, "inputs"> | null;
}

/** What `gsic inspect --json` prints. */
export function planJson(plan: Plan, search: SearchReport | null = null): PlanJson {
  const { name, family, vocabulary, context } = plan.graph;
  const linears = [...plan.linears.values()].map(({ linear, form, bytes, verdict }): LinearJson => {
    const { input, layer, weight } = linearById(plan.graph, linear);
    const { tensor, dtype, out, d } = originalMatrix(weight);
    const rounded = weight.rounded === undefined ? {} : { rounded: weight.rounded.type };
    const found = linearSearch(search, linear);
    const shape = [out, d] as const;
    return { linear, layer, input, tensor, dtype, ...rounded, shape, form, bytes, verdict, search: found };
  });
  const bytes_per_token = bytesPerToken(plan);
  return { name, family, vocabulary, context, linears, bytes_per_token, search: withoutInputs(search) };
}

function withoutInputs(search: SearchReport | null): PlanJson["search"] {
  if (search === null) return null;
  const { inputs: _, ...rest } = search;
  return rest;
}

function linearSearch(search: SearchReport | null, linear: ValueId): LinearSearch | null {
  const found = search?.inputs.find(({ linears }) => linears.includes(linear));
  if (found === undefined) return null;
  const { linears, errors, predicted_kl, kl_share, rejected } = found;
  const error = errors[linears.indexOf(linear)]!;
  const all = errors.reduce((sum, one) => sum + one, 0);
  const part = all === 0 ? 0 : error / all;
  return { error, predicted_kl: part * predicted_kl, kl_share: part * kl_share, rejected };
}

// ----------------------------------------------------------------------------------------------------- table

/** One cell per column: linear, type, form, k, eps, dense, fast, slow, verdict; without those that say nothing. */
type Row = readonly string[];

const headings: Row = ["linear", "type", "form", "k", "eps", "dense", "fast", "slow", "why"];
const leftAligned: ReadonlySet<string> = new Set(["linear", "type", "form", "why"]);
const indent = "  ";
const gap = "  ";

/**
 * The plan for a terminal: a row per linear, layer by layer; neighbouring layers with the same rows are shown once.
 * No line is longer than `columns`, which must be 72 at least.
 */
export function planTable(plan: Plan, columns = 100): string {
  const { head, sections } = telling(collapse(sectionsOf(plan)));
  const layout = layoutOf([head, ...sections.flatMap(({ rows }) => rows)], columns);
  const rule = indent + layout.widths.map((width) => "-".repeat(width)).join(gap);
  const lines = wrap(summary(plan), columns);
  lines.push("", ...rowLines(head, head, layout), rule);
  for (const { title, rows } of sections) {
    lines.push(title, ...rows.flatMap((row) => rowLines(head, row, layout)));
  }
  lines.push(rule, ...totals(plan).flatMap((line) => wrap(line, columns)));
  return lines.join("\n");
}

interface Section {
  readonly title: string;
  readonly rows: readonly Row[];
}

/** Drops the columns that say nothing: one type of all, k and eps where no linear has one, slow where no linear has a gate. */
function telling(sections: readonly Section[]): { head: Row; sections: readonly Section[] } {
  const rows = sections.flatMap((section) => section.rows);
  const [type, k, eps, fast, slow] = ["type", "k", "eps", "fast", "slow"].map((name) =>
    headings.indexOf(name),
  ) as [number, number, number, number, number];
  const gateless = rows.every((row) => row[slow] === row[fast]);
  const silent = new Set<number>(gateless ? [slow] : []);
  if (rows.every((row) => row[type] === rows[0]![type])) silent.add(type);
  if (rows.every((row) => row[k] === "" || row[k] === "0")) silent.add(k);
  if (rows.every((row) => row[eps] === "")) silent.add(eps);
  const shown = (row: Row) => row.filter((_, column) => !silent.has(column));
  const head = shown(headings).map((name) => (gateless && name === "fast" ? "read" : name));
  return { head, sections: sections.map(({ title, rows: all }) => ({ title, rows: all.map(shown) })) };
}

/** Linears layer by layer; what stands outside the layers under `model`. */
function sectionsOf(plan: Plan): { layer: number | null; rows: Row[] }[] {
  const sections: { layer: number | null; rows: Row[] }[] = [];
  for (const { linear, form, bytes, verdict } of plan.linears.values()) {
    const node = linearById(plan.graph, linear);
    const { layer } = node;
    if (sections.length === 0 || sections.at(-1)!.layer !== layer) sections.push({ layer, rows: [] });
    sections
      .at(-1)!
      .rows.push([
        visible(partOf(node)),
        storedType(node.weight),
        ...formCells(form, node.weight.rounded?.type),
        size(bytes.dense),
        size(bytes.fast),
        size(bytes.slow),
        visible(verdict),
      ]);
  }
  return sections;
}

/** The type that a linear's weights are stored in. */
const storedType = (weight: MatrixRef) => elementText(originalMatrix(weight));

/** The cells of form with the type that weights are rounded to, k (of the basis, and the rank of the correction), and epsilon (and the exact tier's threshold). */
function formCells(form: Form, rounded?: RoundedType): [string, string, string] {
  const [subspace, tier] = [form.gate, form.tier];
  const cell = (...values: (number | undefined)[]) =>
    values.flatMap((value) => (value === undefined ? [] : [thresholdText(value)])).join("+");
  return [
    tier === null
      ? [kindOf(form), ...(rounded === undefined ? [] : [rounded])].join(" ")
      : `${kindOf(form)} ${quantizerText(tier.quantizer)}`,
    [subspace?.k, tier?.rank].filter((value) => value !== undefined).join("+"),
    cell(subspace?.epsilon, tier?.exact?.threshold),
  ];
}

function collapse(sections: readonly { layer: number | null; rows: readonly Row[] }[]): Section[] {
  const collapsed: Section[] = [];
  for (let first = 0; first < sections.length; ) {
    const { layer, rows } = sections[first]!;
    const same = (index: number) => {
      const other = sections[index];
      const follows = layer !== null && other?.layer === layer + index - first;
      return follows && JSON.stringify(other.rows) === JSON.stringify(rows);
    };
    let next = first + 1;
    while (same(next)) next++;
    const last = next - first - 1;
    const title =
      layer === null ? "model" : last > 0 ? `layers ${layer}-${layer + last}, each` : `layer ${layer}`;
    collapsed.push({ title, rows });
    first = next;
  }
  return collapsed;
}

/** Columns that a reason needs beside its row, unless it is shorter; with fewer it stands below. */
const leastBeside = 32;

/** Widths of what the columns hold; names are cut and reasons wrapped, or put below, where that is too much. */
function layoutOf(rows: readonly Row[], columns: number): Layout {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const why = widths.length - 1;
  const others = widths.slice(1, why).reduce((sum, width) => sum + gap.length + width, indent.length);
  const [name, reason] = [widths[0]!, widths[why]!];
  const beside = columns - others - gap.length - name;
  if (beside >= Math.min(reason, leastBeside))
    return { widths: [...widths.slice(0, why), Math.min(reason, beside)], below: null };
  const cut = Math.min(name, Math.max(columns - others, 4));
  return { widths: [cut, ...widths.slice(1, why)], below: columns - 2 * indent.length };
}

interface Layout {
  readonly widths: readonly number[];
  /** Width of reasons that stand below their rows; null where they are the last column. */
  readonly below: number | null;
}

function rowLines(head: Row, row: Row, { widths, below }: Layout): string[] {
  const cells = row.slice(0, -1).map((cell, column) => {
    const width = widths[column]!;
    const text = cell.length <= width ? cell : `${cell.slice(0, width - 3)}...`;
    return leftAligned.has(head[column]!) ? text.padEnd(width) : text.padStart(width);
  });
  const line = indent + cells.join(gap);
  if (below !== null) {
    const reasons = row === head ? [] : wrap(row.at(-1)!, below);
    return [line.trimEnd(), ...reasons.map((text) => indent + indent + text)];
  }
  const blank = " ".repeat(line.length);
  return wrap(row.at(-1)!, widths.at(-1)!).map((text, index) =>
    `${index === 0 ? line : blank}${gap}${text}`.trimEnd(),
  );
}

function summary(plan: Plan): string {
  const { name, family, context } = plan.graph;
  const counts = (["dense", "gated", "tiered", "gated+tiered"] as const).flatMap((kind) => {
    const count = [...plan.linears.values()].filter(({ form }) => kindOf(form) === kind).length;
    return count === 0 ? [] : [`${count} ${kind}`];
  });
  const types = new Set([...plan.linears.keys()].map((id) => storedType(linearById(plan.graph, id).weight)));
  const type = types.size === 1 ? ` of ${[...types][0]}` : "";
  return `${visible(name)} (${visible(family)}): ${plan.linears.size} linears${type}, ${counts.join(", ")}; context ${context} tokens`;
}

function totals(plan: Plan): string[] {
  const { dense, fast, slow } = bytesPerToken(plan);
  const share = (bytes: number) => (dense === 0 ? "" : ` (${((100 * bytes) / dense).toFixed(1)} % of dense)`);
  const lines = [`A token reads ${size(dense)} of weights in all linears, dense.`];
  if (fast === dense && slow === dense) return lines;
  if (fast === slow) return [...lines, `In this plan: ${size(fast)}${share(fast)}.`];
  return [
    ...lines,
    `With every gate closed: ${size(fast)}${share(fast)}. With every gate open: ${size(slow)}${share(slow)}.`,
    "How often gates close is measured on held-out text: see `gsic eval`.",
  ];
}

// ------------------------------------------------------------------------------------------------------- dot

/** The graph for Graphviz: a box per value, a frame per layer; gated linears are filled. */
export function planDot(plan: Plan): string {
  const { graph } = plan;
  const numbers = new Map(graph.nodes.map((node, index) => [node.id, `n${index}`]));
  const lines = [`digraph ${dotText(graph.name)} {`, "  node [shape=box, fontname=monospace];"];
  for (const [layer, nodes] of byLayer(graph.nodes)) {
    const boxes = nodes.map((node) => `${numbers.get(node.id)} [${attributes(node, plan)}];`);
    if (layer === null) lines.push(...boxes.map((box) => `  ${box}`));
    else {
      lines.push(`  subgraph cluster_${layer} {`, `    label="layer ${layer}";`);
      lines.push(...boxes.map((box) => `    ${box}`), "  }");
    }
  }
  for (const node of graph.nodes) {
    for (const input of inputsOf(node)) lines.push(`  ${numbers.get(input)} -> ${numbers.get(node.id)};`);
  }
  return [...lines, "}", ""].join("\n");
}

function byLayer(nodes: readonly Node[]): ReadonlyMap<number | null, readonly Node[]> {
  const layers = new Map<number | null, Node[]>();
  for (const node of nodes) {
    const { layer } = node;
    const known = layers.get(layer);
    if (known === undefined) layers.set(layer, [node]);
    else known.push(node);
  }
  return layers;
}

function attributes(node: Node, plan: Plan): string {
  const part = partOf(node);
  const decided = plan.linears.get(node.id);
  if (node.kind !== "linear" || decided === undefined) return `label=${dotText(part, node.kind)}`;
  const { form, bytes } = decided;
  const shape = `[${node.weight.out}, ${node.weight.d}] ${elementText(node.weight)}`;
  if (isDenseForm(form)) return `label=${dotText(part, `dense ${shape}`, size(bytes.dense))}`;
  const how = `${formText(form)} ${shape}`;
  const label = dotText(part, how, `${size(bytes.fast)} fast, ${size(bytes.slow)} slow`);
  return `label=${label}, style=filled, fillcolor=lightblue`;
}

/** A quoted string of DOT, one line of the label each; backslashes are doubled, as escapes are read in labels. */
function dotText(...lines: readonly string[]): string {
  const escaped = lines.map((line) => visible(line).replace(/[\\"]/g, "\\$&"));
  return `"${escaped.join("\\n")}"`;
}
