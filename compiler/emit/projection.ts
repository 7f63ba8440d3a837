import { gateName } from "../ir/forms.js";
import type { DeviceKind } from "../ir/program.js";
import type { ProjectionPart, QuantizedSource, Step, WeightSource } from "../ir/steps.js";
import { factorBytes, sourceBytes } from "../layout/matrix.js";
import { shapeOf, typeText } from "../layout/shape.js";
import { coresOf } from "./cores.js";
import { elementName, elementType } from "./element.js";
import { doubleLiteral } from "./literal.js";
import { bytesRead, type CpuKernelCall, isPadded, Operands, type TierMatrix } from "./operands.js";

type BasisStep = Extract<Step, { kind: "basis" }>;
type ProjectStep = Extract<Step, { kind: "project" }>;

/** g = V^T x. */
export function basis({ input, output, basis: source }: BasisStep): CpuKernelCall {
  const { k, d } = source;
  const operands = new Operands();
  operands.value("x", input, "read");
  operands.value("y", output, "write");
  const weight = operands.weight("basis", source, null);
  return {
    template: "project",
    symbol: `basis_${k}x${d}`,
    params: {
      summary: "g = V^T x",
      shape: `x [columns, ${d}], V^T [${k}, ${d}], g [columns, ${k}]`,
      account: bytesRead(factorBytes("cpu", k, d)),
      width: k,
      padded: isPadded(k),
      select: "all_columns",
      activation: "identity",
      residual: null,
      gate: null,
      exact: null,
      integers: null,
      products: [
        {
          tier: null,
          matrix: matrixType(source),
          columns: "columns",
          input: "x",
          column: 0,
          last: k - 1,
          weight,
          bias: null,
        },
      ],
    },
    operands: operands.slots,
    launch: null,
    cores: coresOf(operands),
  };
}

/** y = f(W x + b) + residual, for all linears that read one value, in as many tiers as their form has. */
export function project(step: ProjectStep): CpuKernelCall {
  const operands = new Operands();
  operands.value("x", step.input, "read");
  operands.value("y", step.output, "write");
  const residual = step.residual === null ? null : operands.value("residual", step.residual, "read");
  const gates = gateParams(step, operands);
  const products = step.parts.flatMap((part, index) => {
    const { out } = shapeOf(part.weight);
    const rows = { column: part.column, last: part.column + out - 1 };
    const bias = operands.bias(`bias${index}`, part.bias);
    return tiers(step).map(({ tier, of }) => {
      const source = part[of]!;
      const weight = operands.weight(`${of}${index}`, source, { tier: of, linears: [part.linear] });
      return { ...productOf(step, tier, of), matrix: matrixType(source), ...rows, weight, bias };
    });
  });
  return {
    template: "project",
    symbol: projectName(step),
    params: {
      ...common(step),
      select: step.head ? "wanted_columns" : "all_columns",
      residual,
      ...gates,
      products,
    },
    operands: operands.slots,
    launch: null,
    cores: coresOf(operands),
  };
}

/** y = f(gate) * up, both from one value. */
export function glu(step: ProjectStep): CpuKernelCall {
  const operands = new Operands();
  operands.value("x", step.input, "read");
  operands.value("y", step.output, "write");
  const gates = gateParams(step, operands);
  const [first, second] = step.parts as [ProjectionPart, ProjectionPart];
  const gateBias = operands.bias("gate_bias", first.bias);
  const upBias = operands.bias("up_bias", second.bias);
  const products = tiers(step).map(({ tier, of }) => {
    const [a, b] = [first[of]!, second[of]!];
    return {
      ...productOf(step, tier, of),
      gateMatrix: matrixType(a),
      upMatrix: matrixType(b),
      gateWeight: operands.weight(`gate_${of}`, a, { tier: of, linears: [first.linear] }),
      upWeight: operands.weight(`up_${of}`, b, { tier: of, linears: [second.linear] }),
      gateBias,
      upBias,
    };
  });
  return {
    template: "glu",
    symbol: projectName(step),
    params: { ...common(step), ...gates, products },
    operands: operands.slots,
    launch: null,
    cores: coresOf(operands),
  };
}

/** The parameters that both templates of a projection take. */
function common(step: ProjectStep) {
  return {
    summary: projectSummary(step),
    shape: projectShape(step),
    account: projectAccount(step, "cpu"),
    width: step.width,
    padded: isPadded(step.width),
    activation: step.activation ?? "identity",
  };
}

/** The tier of a projection by what its tokens cost; null where no gate decides. */
export type Tier = "fast" | "middle" | "slow" | null;

/** The tiers of a projection, the cheapest first. */
export function tiers(
  step: Pick<ProjectStep, "gate" | "exact" | "parts">,
): readonly { readonly tier: Tier; readonly of: TierMatrix }[] {
  const { gate, exact, parts } = step;
  const matrices: TierMatrix[] = [];
  if (gate !== null) matrices.push("image");
  if (parts[0]!.quantized !== null) matrices.push("quantized");
  if (parts[0]!.quantized === null || exact !== null) matrices.push("weight");
  const last = matrices.length - 1;
  return matrices.map((of, index) => ({
    tier: last === 0 ? null : index === 0 ? "fast" : index === last ? "slow" : "middle",
    of,
  }));
}

/** Columns of a pass, by their names in C++: all, or what a gate makes of them. */
export type ColumnSet = "columns" | `${"tiers" | "exact"}.${"closed" | "open"}`;
/** What a tier's matrix is multiplied with, by its name in C++. */
export type ProductInput = "x" | "g" | "integers";

const inputOf: Readonly<Record<TierMatrix, ProductInput>> = {
  image: "g",
  quantized: "integers",
  weight: "x",
};

/** What a product of a tier's matrix with its input is made of: C++ names. */
export function productOf({ gate, exact }: ProjectStep, tier: Tier, of: TierMatrix) {
  const decided = of === "image" || exact === null ? "tiers" : "exact";
  const closed = of === "image" || (of === "quantized" && (exact !== null || gate === null));
  const columns: ColumnSet = tier === null ? "columns" : `${decided}.${closed ? "closed" : "open"}`;
  return { tier, columns, input: inputOf[of] };
}

/** The C++ type of a packed matrix. */
export function matrixType(source: WeightSource): string {
  if ("quantizer" in source) return quantizedType(source);
  const { out, d, ...type } = shapeOf(source);
  return `Matrix<${elementType(type)}, ${out}, ${d}>`;
}

function quantizedType({ out, d, quantizer, rank }: QuantizedSource): string {
  const { bits, group, symmetric } = quantizer;
  return `Quantized<${[out, d, bits, group, symmetric, ...(rank === 0 ? [] : [rank])].join(", ")}>`;
}

/** Gates, and what else all columns of a projection need before its products. */
function gateParams(step: ProjectStep, operands: Operands) {
  const { gate, exact, input, d, counts } = step;
  const counters = (name: string) =>
    counts ? operands.add(`${name}_counters`, "uint64_t", { kind: "counter", gate: name }, "update") : null;
  return {
    gate: gate && {
      coordinates: operands.value("g", gate.coordinates, "read"),
      basis: operands.weight("basis", gate.basis, null),
      counters: counters(gateName(input, "subspace", true)),
      k: gate.k,
      d,
      epsilon: doubleLiteral(gate.epsilon),
    },
    exact: exact && {
      columns: gate === null ? "columns" : "tiers.open",
      matrix: quantizedType(exact.source),
      weight: operands.weight("projections", exact.source, null),
      counters: counters(gateName(input, "error", gate !== null)),
      threshold: doubleLiteral(exact.threshold),
    },
    integers: hasQuantized(step) ? integerParams(step, operands) : null,
  };
}

function hasQuantized({ parts }: ProjectStep): boolean {
  return parts[0]!.quantized !== null;
}

/** The activations as integers, for the columns of the tier at few bits. */
function integerParams({ gate, correction, d }: ProjectStep, operands: Operands) {
  return {
    type: `QuantizedInput<${[d, ...(correction === null ? [] : [correction.out])].join(", ")}>`,
    columns: gate !== null ? "tiers.open" : "columns",
    correction: correction && {
      matrix: quantizedType(correction),
      weight: operands.weight("correction", correction, null),
    },
  };
}

/** The proposed symbol, `<role>_<type of the first matrix>_<width>x<d>`, with `_k<k>` where there is a subspace gate. */
export function projectName(step: ProjectStep): string {
  const { quantized, weight } = step.parts[0]!;
  const type = quantized === null ? elementName(shapeOf(weight)) : quantizedName(quantized);
  const role = step.head ? "head" : step.glu ? "glu" : "project";
  return `${role}_${type}_${step.width}x${step.d}${step.gate ? `_k${step.gate.k}` : ""}`;
}

function quantizedName({ quantizer, rank }: QuantizedSource): string {
  return `int${quantizer.bits}${rank === 0 ? "" : `_r${rank}`}`;
}

/** The maths of a projection; P stands for the matrix of the tier at few bits. */
export function projectSummary(step: ProjectStep): string {
  const bias = step.parts.some((part) => part.bias !== null) ? " + b" : "";
  const f = (text: string) => (step.activation === null ? text : `${step.activation}(${text})`);
  const end = step.residual === null ? "" : " + residual";
  const form = (w: (name: string) => string) =>
    step.glu ? `${f(w("gate") + bias)} * (${w("up")}${bias})` : f(w("") + bias) + end;
  const subscript = (matrix: string, name: string) => `${matrix}${name && `_${name}`}`;
  const formulas = {
    weight: () => `y = ${form((name) => `${subscript("W", name)} x`)}`,
    image: () => `y = ${form((name) => `${subscript("M", name)} g`)}, with M = W V, g = V^T x`,
    quantized: () =>
      step.correction === null
        ? `y = ${form((name) => `${subscript("Q", name)} x`)}`
        : `y = ${form((name) => `${subscript("Q", name)} x + ${subscript("A", name)} (B^T x)`)}`,
  };
  const conditions = {
    weight: "",
    image: `rho = ||x - V g|| / ||x|| < ${step.gate?.epsilon}: `,
    quantized: step.exact === null ? "" : `||S x|| / ||x|| < ${step.exact.threshold}: `,
  };
  return tiers(step)
    .map(({ of }) => `${conditions[of]}${formulas[of]()}`)
    .join("; else ");
}

/** The shapes of the input, of each tier's matrices, the dearest tier first, and of the output. */
export function projectShape(step: ProjectStep): string {
  const { gate, correction, parts, d, width } = step;
  const shapes = (of: TierMatrix) =>
    parts.map((part) => `${typeText(part[of]!)} [${shapeOf(part.weight).out}, ${d}]`).join(" + ");
  const rows = parts.map(({ weight }) => shapeOf(weight).out).join(" + ");
  const described = tiers(step).map(({ of }) => {
    switch (of) {
      case "weight":
        return `W ${shapes("weight")}`;
      case "image":
        return `M [${rows}, ${gate!.k}]`;
      case "quantized":
        return `Q ${shapes("quantized")}${correction === null ? "" : `, A [${rows}, ${correction.out}], B^T [${correction.out}, ${d}]`}`;
      default:
        return of satisfies never;
    }
  });
  return [`x [columns, ${d}]`, ...described.reverse(), `y [columns, ${width}]`].join(", ");
}

/** The line of a projection's byte account, tier by tier; what the gates read is named, but not counted. */
export function projectAccount(step: ProjectStep, device: DeviceKind): string {
  const all = tiers(step);
  const bytes = (of: TierMatrix) =>
    step.parts.reduce(
      (sum, part) => sum + sourceBytes(device, part[of]!),
      of === "quantized" && step.correction !== null ? sourceBytes(device, step.correction) : 0,
    );
  if (all.length === 1) return bytesRead(bytes(all[0]!.of));
  const last = all.length - 1;
  const gated = all.map(({ of }, index) => {
    const when = index === 0 ? "with the gate closed" : index === last ? "with it open" : "between the gates";
    return `${bytes(of)}${index === 0 ? " bytes of weights per token" : ""} ${when}`;
  });
  const beside = step.exact === null ? "the basis" : "what the gates read";
  return `reads ${gated.join(", ")}; ${beside} beside them`;
}

/** The maths of a norm of `x`. */
export function normFormula(method: "layer" | "rms", x: string): string {
  return method === "layer"
    ? `(${x} - mean(${x})) / sqrt(var(${x}) + epsilon) * gain + bias`
    : `${x} / sqrt(mean(${x}^2) + epsilon) * gain`;
}
