import { thresholdText } from "../ir/forms.js";
import type { EmbeddingNode, NormNode, RopeNode } from "../ir/graph.js";
import type { DeviceStep, ProjectionPart, Step, WeightSource } from "../ir/steps.js";
import { shapeOf, typeText } from "../layout/shape.js";
import { matrixName, vectorName } from "./names.js";

type AnyStep = Step | DeviceStep;
type StepOf<Kind extends AnyStep["kind"]> = Extract<AnyStep, { kind: Kind }>;

/**
 * Steps for people: a line for each, `kind output [width] <- what it reads: what it does`, and below it, further in, a line
 * for each table, linear, matrix and gate. The same steps give the same text.
 */
export function stepsText(steps: readonly AnyStep[]): string {
  return `${steps.flatMap(linesOf).join("\n")}\n`;
}

function linesOf(step: AnyStep): string[] {
  switch (step.kind) {
    case "embed":
      return [`embed    ${step.output} [${step.width}]`, ...step.tables.map(tableLine)];
    case "norm": {
      const { output, width, node } = step;
      return [
        `norm     ${output} [${width}] <- ${node.input}: y${residualText(step)}`,
        `    y is ${normText(node)}`,
      ];
    }
    case "basis":
      return [`basis    ${step.output} [${step.basis.k}] <- ${step.input} [${step.basis.d}]: g = V^T x`];
    case "project":
      return projectLines(step);
    case "factors":
      return factorLines(step);
    case "cache":
      return [
        `cache    layer ${step.layer}${step.forDrafts === true ? ", for drafts" : ""} <- ${sourceText(step)}`,
        ...headLines(step),
      ];
    case "attend":
      return attendLines(step);
    case "combine": {
      const { output, partials } = step;
      return [
        `combine  ${output} <- ${partials.output} [${partials.width}]: parts of the positions together`,
      ];
    }
    case "screen":
      return [
        `screen   ${step.output} [${step.width}] <- ${step.input} [${step.d}]: upper bounds; in place of the head`,
      ];
    case "rescore":
      return [
        `rescore  ${step.output} [${step.width}] <- ${step.input} [${step.d}]: what may be the largest`,
        `    by ${matrixText(step.weight)}`,
      ];
    case "choose":
      return [`choose   ${step.output} <- ${step.input} [${step.vocabulary}]: the id of the largest`];
    default:
      return step satisfies never;
  }
}

function tableLine({ id, index, table, offset, scale }: EmbeddingNode): string {
  const row = offset === 0 ? index : `${index} + ${offset}`;
  const factor = scale === 1 ? "" : `, times ${scale}`;
  return `    ${id}: row ${row} of ${matrixText({ kind: "stored", matrix: table })}${factor}`;
}

function normText({ method, heads, gain, bias, epsilon }: NormNode): string {
  const each = heads === 1 ? "" : ` of ${heads} heads`;
  const plus = gain.plus === undefined ? "" : ` + ${gain.plus}`;
  const added = bias === null ? "" : `, bias ${vectorName(bias)}`;
  return `${method} norm${each}, gain ${vectorName(gain)}${plus}${added}, epsilon ${epsilon}`;
}

function residualText({ residual }: Pick<StepOf<"project"> | StepOf<"norm">, "residual">): string {
  return residual === null ? "" : ` + ${residual}`;
}

function projectLines(step: StepOf<"project">): string[] {
  const { output, width, input, d, activation, glu } = step;
  const made = activation === null ? "y" : glu ? `${activation}(gate) * up` : `${activation}(y)`;
  const head = step.head ? "; only where logits are wanted" : "";
  return [
    `project  ${output} [${width}] <- ${input} [${d}]: ${made}${residualText(step)}${head}`,
    ...normedLines(step),
    ...step.parts.flatMap(partLines),
    ...gateLines(step),
  ];
}

/** A linear with every matrix that its tiers may multiply by. */
function partLines({ linear, weight, image, quantized, bias, column }: ProjectionPart): string[] {
  const added = bias === null ? "" : `, bias ${vectorName(bias)}`;
  return [
    `    ${linear} in [${column}, ${column + shapeOf(weight).out}): W ${matrixText(weight)}${added}`,
    ...(image === null ? [] : [`      M ${matrixText(image)}`]),
    ...(quantized === null ? [] : [`      Q ${matrixText(quantized)}`]),
  ];
}

/** What the linears of a step share: B, and the gates in the order in which they decide. */
function gateLines(step: StepOf<"project">): string[] {
  const { gate, correction, exact } = step;
  const counted = step.counts ? "" : ", counted before";
  const lines: string[] = [];
  if (gate !== null) {
    const g = "given" in step ? "" : ` of ${gate.coordinates}`;
    lines.push(`    rho < ${thresholdText(gate.epsilon)}: y = M g, k = ${gate.k}${g}${counted}`);
  }
  if (exact !== null) {
    const limit = thresholdText(exact.threshold);
    lines.push(`    ||S x|| < ${limit} ||x||: y = Q x + A (B^T x), S ${matrixText(exact.source)}${counted}`);
  }
  if (correction !== null) lines.push(`    B ${matrixText(correction)}`);
  if ("given" in step && step.given !== null) lines.push(`    products with factors: ${step.given.output}`);
  return lines;
}

function factorLines(step: StepOf<"factors">): string[] {
  const { correction, basis, projections } = step.factors;
  const squares = step.squares === null ? "" : `, ||x||^2 in ${step.squares}`;
  return [
    `factors  ${step.output} <- ${step.input} [${step.d}]: products with an input's factors${squares}`,
    ...normedLines(step),
    ...(correction === null ? [] : [`    B ${matrixText(correction)}`]),
    ...(basis === null ? [] : [`    V ${matrixText(basis)}`]),
    ...(projections === null ? [] : [`    S ${matrixText(projections)}`]),
  ];
}

/** How a GPU's step makes x of what it reads, if it normalises that first. */
function normedLines(step: StepOf<"project"> | StepOf<"factors">): string[] {
  const norm = "norm" in step ? step.norm : null;
  return norm === null ? [] : [`    x is ${norm.id}: ${normText(norm)}`];
}

function attendLines(step: StepOf<"attend">): string[] {
  const { heads, kvHeads, headDim, scale, window } = step.attention;
  const shape = `${heads} heads of ${headDim}, ${kvHeads} of the cache, scale ${scale}`;
  const seen = window === null ? "" : `, window ${window}`;
  const read = `layer ${step.layer}, ${sourceText(step)}`;
  return [
    `attend   ${step.output} [${heads * headDim}] <- ${read}: ${shape}${seen}`,
    ...("norms" in step ? headLines(step) : []),
  ];
}

/** Where query, key and value stand in the value that a step reads. */
function sourceText(step: StepOf<"cache"> | StepOf<"attend">): string {
  const others = "keyColumn" in step ? `, key at ${step.keyColumn}, value at ${step.valueColumn}` : "";
  return `${step.source} [${step.sourceWidth}] (query at ${step.queryColumn}${others})`;
}

/** What becomes of the heads of query and key before the cache takes them. */
function headLines({ norms, rope }: Pick<StepOf<"cache">, "norms" | "rope">): string[] {
  return [
    ...(norms === null ? [] : [`    query: ${normText(norms.query)}`, `    key: ${normText(norms.key)}`]),
    ...(rope === null ? [] : [`    query and key: ${ropeText(rope)}`]),
  ];
}

function ropeText({ headDim, rotaryDim, pairing, theta, scaling }: RopeNode): string {
  const { kind, ...rest } = scaling;
  const scaled = kind === "none" ? "" : `, ${kind} ${JSON.stringify(rest)}`;
  return `rope of ${rotaryDim} of ${headDim} channels, pairs ${pairing}, theta ${theta}${scaled}`;
}

/** A matrix by its tensor, if it is the model's own, with its type and shape. */
function matrixText(source: WeightSource): string {
  const { out, d } = "quantizer" in source ? source : shapeOf(source);
  const shape = `${typeText(source)} [${out}, ${d}]`;
  switch (source.kind) {
    case "stored":
      return `${matrixName(source)}, ${shape}${source.matrix.transposed ? ", stored transposed" : ""}`;
    case "quantized":
      return source.rank === 0 ? shape : `${shape}, A [${out}, ${source.rank}]`;
    case "stacked":
    case "basis":
    case "image":
    case "correction":
    case "projections":
      return shape;
    default:
      return source satisfies never;
  }
}
