import type {
  AttentionNode,
  Graph,
  LinearNode,
  MatrixRef,
  Node,
  NormNode,
  RopeNode,
  RopeScaling,
  ValueId,
  VectorRef,
} from "../ir/graph.js";
import type { ByteAccount, Form, Plan, SubspaceGate, Tier } from "../ir/plan.js";
import { layerOf } from "../ir/walk.js";
import { bytesPerToken } from "../passes/cost.js";
import { constantNames, freeName, quote, vocabulary } from "./print-names.js";

/** What a graph.ts says about where it came from. */
export interface PlanHeader {
  /** Path of model.toml, relative to the graph.ts, with forward slashes. */
  readonly config: string;
  /** SHA-256 of the model. */
  readonly fingerprint: string;
}

const columns = 110;

/**
 * A plan as the text of graph.ts: one statement per node, in execution order. The same plan gives the same text, and
 * `parsePlan` reads it back. Names reach the text as escaped string literals only.
 */
export function printPlan(plan: Plan, header: PlanHeader): string {
  const { graph } = plan;
  const names = constantNames(graph.nodes.map((node) => node.id));
  const scalings = scalingsOf(graph, new Set(names.values()));
  const context = { plan, names, scalings };
  const body = scalingLines(scalings);
  const shared = body.length;
  let section = "";
  for (const node of graph.nodes) {
    const layer = layerOf(node.id);
    const next = layer === null ? (body.length === shared ? "input" : "output") : `layer ${layer.index}`;
    if (next !== section && !(layer === null && section === "input")) {
      body.push("", `// ${next}`);
      section = next;
    }
    const name = names.get(node.id)!;
    const call = callOf(node, context);
    const id = name === node.id ? [] : [`id: ${quote(node.id)}`];
    body.push(...layOut(`const ${name} = `, { ...call, properties: [...id, ...call.properties] }));
  }
  const { name, family, output } = graph;
  const about = [
    `name: ${quote(name)}`,
    `family: ${quote(family)}`,
    `vocabulary: ${number(graph.vocabulary)}`,
  ];
  about.push(
    `context: ${number(graph.context)}`,
    `config: ${quote(header.config)}`,
    `fingerprint: ${quote(header.fingerprint)}`,
  );
  const call: Call = { function: "model", first: [], properties: about, last: [names.get(output)!] };
  const text = [...body, "", ...layOut("export default ", call)].join("\n");
  return [...preamble(plan), ...importsOf(text), text, ""].join("\n");
}

// ----------------------------------------------------------------------------------------------- statements

/** A call before it is laid out: positional arguments, then an object of these properties, then more arguments. */
interface Call {
  readonly function: (typeof vocabulary)[number];
  readonly first: readonly string[];
  readonly properties: readonly string[];
  readonly last?: readonly string[];
}

/** What the statements of one plan refer to. */
interface Context {
  readonly plan: Plan;
  readonly names: ReadonlyMap<ValueId, string>;
  /** Names of constants, by the text of the scaling that they hold. */
  readonly scalings: ReadonlyMap<string, string>;
}

function callOf(node: Node, { plan, names, scalings }: Context): Call {
  const name = (id: ValueId) => names.get(id)!;
  switch (node.kind) {
    case "embedding": {
      const offset = node.offset === 0 ? [] : [`offset: ${number(node.offset)}`];
      const scale = node.scale === 1 ? [] : [`scale: ${number(node.scale)}`];
      const first = [quote(node.index), matrix(node.table)];
      return { function: "embedding", first, properties: [...offset, ...scale] };
    }
    case "norm":
      return norm(node, name(node.input));
    case "linear":
      return linear(node, plan, name(node.input));
    case "rope":
      return { function: "rope", first: [name(node.input)], properties: rope(node, scalings) };
    case "attention": {
      const first = [name(node.query), name(node.key), name(node.value)];
      return { function: "attention", first, properties: attention(node) };
    }
    case "activation":
      return { function: "activation", first: [name(node.input), quote(node.function)], properties: [] };
    case "add":
    case "multiply":
      return { function: node.kind, first: [name(node.left), name(node.right)], properties: [] };
    default:
      return node satisfies never;
  }
}

function norm(node: NormNode, input: string): Call {
  const bias = node.bias === null ? [] : [`bias: ${vector(node.bias)}`];
  const heads = node.heads === 1 ? [] : [`heads: ${number(node.heads)}`];
  return {
    function: node.method === "layer" ? "layerNorm" : "rmsNorm",
    first: [input],
    properties: [...heads, `gain: ${vector(node.gain)}`, ...bias, `epsilon: ${number(node.epsilon)}`],
  };
}

function linear(node: LinearNode, plan: Plan, input: string): Call {
  const decided = plan.linears.get(node.id);
  if (decided === undefined) throw new Error(`${node.id} is not decided`);
  const bias = node.bias === null ? [] : [`bias: ${vector(node.bias)}`];
  const account = [`bytes: ${bytes(decided.bytes)}`, `verdict: ${quote(decided.verdict)}`];
  return {
    function: "linear",
    first: [input, form(decided.form)],
    properties: [`weight: ${matrix(node.weight)}`, ...bias, ...account],
  };
}

function rope(node: RopeNode, scalings: Context["scalings"]): string[] {
  const { heads, headDim, rotaryDim, pairing, theta, scaling } = node;
  const properties = [`heads: ${number(heads)}`, `headDim: ${number(headDim)}`];
  if (rotaryDim !== headDim) properties.push(`rotaryDim: ${number(rotaryDim)}`);
  properties.push(`pairing: ${quote(pairing)}`, `theta: ${number(theta)}`);
  if (scaling.kind !== "none") properties.push(`scaling: ${scalings.get(scalingText(scaling))!}`);
  return properties;
}

/** Scalings are long and the same in all layers: each stands once, as a constant above the nodes. */
function scalingsOf(graph: Graph, taken: Set<string>): ReadonlyMap<string, string> {
  const scalings = new Map<string, string>();
  for (const node of graph.nodes) {
    if (node.kind !== "rope" || node.scaling.kind === "none") continue;
    const text = scalingText(node.scaling);
    if (scalings.has(text)) continue;
    scalings.set(text, freeName("rope_scaling", taken));
    taken.add(scalings.get(text)!);
  }
  return scalings;
}

function scalingLines(scalings: Context["scalings"]): string[] {
  const lines = [...scalings].flatMap(([text, name]) => {
    const line = `const ${name} = { ${text} } as const;`;
    return line.length <= columns ? [line] : fill(`const ${name} = {`, text.split(", "), " } as const;");
  });
  return lines.length === 0 ? [] : ["", "// rotary positions", ...lines];
}

/** The properties of a scaling, separated by ", ". */
function scalingText(scaling: RopeScaling): string {
  const kind = `kind: ${quote(scaling.kind)}`;
  switch (scaling.kind) {
    case "none":
      return kind;
    case "linear":
      return `${kind}, factor: ${number(scaling.factor)}`;
    case "divisors":
      return `${kind}, divisors: [${scaling.divisors.map(number).join(", ")}]`;
    case "longrope": {
      const factor = `attentionFactor: ${number(scaling.attentionFactor)}`;
      return `${kind}, ${factor}, divisors: [${scaling.divisors.map(number).join(", ")}]`;
    }
    case "llama3": {
      const { factor, lowFrequencyFactor, highFrequencyFactor, originalContext } = scaling;
      const factors = Object.entries({ factor, lowFrequencyFactor, highFrequencyFactor, originalContext });
      return [kind, ...factors.map(([key, value]) => `${key}: ${number(value)}`)].join(", ");
    }
    default:
      return scaling satisfies never;
  }
}

function attention({ heads, kvHeads, headDim, scale, window }: AttentionNode): string[] {
  const properties = [`heads: ${number(heads)}`];
  if (kvHeads !== heads) properties.push(`kvHeads: ${number(kvHeads)}`);
  properties.push(`headDim: ${number(headDim)}`);
  if (scale !== 1 / Math.sqrt(headDim)) properties.push(`scale: ${number(scale)}`);
  if (window !== null) properties.push(`window: ${number(window)}`);
  return properties;
}

// -------------------------------------------------------------------------------------------------- literals

function form(form: Form): string {
  switch (form.kind) {
    case "dense":
      return "dense";
    case "gated":
      return `gated({ ${subspace(form)} })`;
    case "tiered":
      return `tiered({ ${tier(form)} })`;
    case "gated+tiered":
      return `gatedTiered({ ${subspace(form)}, ${tier(form)} })`;
    default:
      return form satisfies never;
  }
}

function subspace({ k, epsilon }: SubspaceGate): string {
  return `k: ${number(k)}, epsilon: ${number(epsilon)}`;
}

function tier({ quantizer, rank, exact }: Tier): string {
  const { bits, group, symmetric } = quantizer;
  const gate =
    exact === null
      ? ""
      : `, exact: { projections: ${number(exact.projections)}, threshold: ${number(exact.threshold)} }`;
  return `bits: ${bits}, group: ${group}, symmetric: ${symmetric}, rank: ${number(rank)}${gate}`;
}

function matrix({ tensor, dtype, out, d, transposed, first }: MatrixRef): string {
  const options = [
    ...(transposed ? ["transposed: true"] : []),
    ...(first === 0 ? [] : [`first: ${number(first)}`]),
  ];
  const shape = `[${number(out)}, ${number(d)}]`;
  return `matrix(${[quote(tensor), quote(dtype), shape, ...record(options)].join(", ")})`;
}

function vector({ tensor, length, first, plus }: VectorRef): string {
  const options = [
    ...(first === 0 ? [] : [`first: ${number(first)}`]),
    ...(plus === undefined ? [] : [`plus: ${number(plus)}`]),
  ];
  return `vector(${[quote(tensor), number(length), ...record(options)].join(", ")})`;
}

function bytes({ dense, fast, middle, slow }: ByteAccount): string {
  if (fast === dense && slow === dense) return grouped(dense);
  const between = middle === undefined ? "" : ` middle: ${grouped(middle)},`;
  return `{ dense: ${grouped(dense)}, fast: ${grouped(fast)},${between} slow: ${grouped(slow)} }`;
}

function record(properties: readonly string[]): string[] {
  return properties.length === 0 ? [] : [`{ ${properties.join(", ")} }`];
}

function number(value: number): string {
  if (!Number.isFinite(value)) throw new Error(`${value} has no literal`);
  return Math.abs(value) < 1e-3 && value !== 0 ? value.toExponential() : String(value);
}

function grouped(value: number): string {
  return number(value).replace(/^\d{5,15}$/, (digits) => digits.replace(/\B(?=(\d{3})+$)/g, "_"));
}

// ---------------------------------------------------------------------------------------------------- layout

/** One statement: on one line where it fits, else with its properties filled into lines below its opening. */
function layOut(opening: string, call: Call): string[] {
  const start = `${opening}${call.function}(`;
  const last = call.last ?? [];
  const line = `${start}${[...call.first, ...record(call.properties), ...last].join(", ")});`;
  if (line.length <= columns || call.properties.length === 0) return [line];
  return fill(
    `${start}${[...call.first, "{"].join(", ")}`,
    call.properties,
    ` ${["}", ...last].join(", ")});`,
  );
}

/** The opening, then the pieces with commas between them in as few lines as hold them, the last one with the end. */
function fill(opening: string, pieces: readonly string[], end: string): string[] {
  const lines: string[] = [];
  pieces.forEach((piece, index) => {
    const text = index === pieces.length - 1 ? `${piece}${end}` : `${piece},`;
    const joined = `${lines.at(-1)} ${text}`;
    if (lines.length > 0 && joined.length <= columns) lines[lines.length - 1] = joined;
    else lines.push(`  ${text}`);
  });
  return [opening, ...lines];
}

function preamble(plan: Plan): string[] {
  const { dense, fast, slow } = bytesPerToken(plan);
  const rewritten = [...plan.linears.values()].filter(({ form }) => form.kind !== "dense").length;
  const read = `// Bytes of weights that a token reads in them: ${grouped(dense)} dense, ${grouped(fast)}`;
  const bytes =
    fast === slow
      ? [`${read} in this plan.`]
      : [`${read} with every gate closed,`, `// ${grouped(slow)} with every gate open.`];
  return [
    `// ${quote(plan.graph.name)}: ${plan.linears.size} linears, ${rewritten} of them rewritten.`,
    ...bytes,
    "// To change a form, edit it here and give this file to `gsic build`. Bytes and verdicts are recomputed.",
    "",
  ];
}

function importsOf(text: string): string[] {
  const code = text.replace(/"(\\.|[^"\\])*"/g, '""');
  const used = vocabulary.filter((name) => new RegExp(`\\b${name}\\b(?!:)`).test(code));
  const line = `import { ${used.join(", ")} } from "gsic/graph";`;
  return line.length <= columns ? [line] : ["import {", `  ${used.join(", ")},`, '} from "gsic/graph";'];
}
