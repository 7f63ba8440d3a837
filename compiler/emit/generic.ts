import { gateName } from "../ir/forms.js";
import { type ActivationFunction, cacheTypes, checkpointTypes } from "../ir/graph.js";
import type { GenericShape } from "../ir/program.js";
import type { Step, WeightSource } from "../ir/steps.js";
import { cacheBlock } from "../layout/cache.js";
import { screenQuantizer, screenRank } from "../layout/screen.js";
import { shapeOf } from "../layout/shape.js";
import type { CpuKernelCall } from "./operands.js";
import { type ColumnSet, type ProductInput, productOf, tiers } from "./projection.js";

type ProjectStep = Extract<Step, { kind: "project" }>;

/** In the order of templates/include/gsic/generic/shapes.h. */
const types = [
  "f32",
  "f16",
  "bf16",
  "q4_0",
  "q4_1",
  "q5_0",
  "q5_1",
  "q8_0",
  "q4_k",
  "q5_k",
  "q6_k",
  ...checkpointTypes,
] as const;
const coded = types.length;
const fewBits = coded + 1;
const columnSets: readonly ColumnSet[] = [
  "columns",
  "tiers.closed",
  "tiers.open",
  "exact.closed",
  "exact.open",
];
const inputs: readonly ProductInput[] = ["x", "g", "integers"];
const activations: readonly (ActivationFunction | null)[] = [null, "relu", "silu", "gelu", "gelu_tanh"];

/** Words of a double, the lower first. */
function double(x: number): number[] {
  return [...new Int32Array(Float64Array.of(x).buffer)];
}

function float(x: number): number {
  return new Int32Array(Float32Array.of(x).buffer)[0]!;
}

/** The arguments of a call by their names; 0 stands for one that is absent. */
class Arguments {
  constructor(private readonly call: CpuKernelCall) {}

  at(name: string): number {
    return Math.max(
      0,
      this.call.operands.findIndex((slot) => slot.name === name),
    );
  }

  /** A matrix's words; zeros where there is none. */
  matrix(name: string, source: WeightSource | null): number[] {
    if (source === null) return new Array<number>(9).fill(0);
    const at = this.at(name);
    if ("quantizer" in source) {
      const { out, d, rank, quantizer } = source;
      return [at, fewBits, out, d, quantizer.bits, quantizer.group, Number(quantizer.symmetric), rank, 0];
    }
    const { dtype, coded: rare, ordered = false, out, d } = shapeOf(source);
    const type = rare === undefined ? types.indexOf(dtype) : coded;
    return [at, type, out, d, 0, 0, 0, rare ?? 0, Number(ordered)];
  }
}

/** What kernels for all shapes (templates/generic) need to know to compute a step as its own kernel does. */
export function genericShape(step: Step, call: CpuKernelCall, context: number): GenericShape {
  const of = new Arguments(call);
  return { kind: call.template, words: wordsOf(step, of, context) };
}

function wordsOf(step: Step, of: Arguments, context: number): number[] {
  switch (step.kind) {
    case "embed":
      return [
        step.width,
        step.tables.length,
        ...step.tables.flatMap(({ table, index, offset, scale }) => [
          ...of.matrix(`${index}_table`, { kind: "stored", matrix: table }),
          Number(index === "position"),
          offset,
          float(scale),
        ]),
      ];
    case "norm":
      return [
        step.width,
        Number(step.node.method === "layer"),
        of.at("bias"),
        of.at("residual"),
        float(step.node.epsilon),
      ];
    case "basis": {
      const product = [...of.matrix("basis", step.basis), 0, 0, 0, 0];
      return [step.basis.k, 0, 0, 0, ...ungated(of), 1, ...product];
    }
    case "project":
      return projectWords(step, of);
    case "cache":
      return cacheWords(step, of, context);
    case "attend": {
      const { heads, kvHeads, headDim, scale, window, cache } = step.attention;
      const seen = window === null || window >= context ? 0 : window;
      return [
        heads,
        kvHeads,
        headDim,
        cacheBlock(context),
        cacheTypes.indexOf(cache),
        step.sourceWidth,
        step.queryColumn,
        seen,
        float(scale),
      ];
    }
    case "screen": {
      const { bits, group } = screenQuantizer;
      const copy = [of.at("copy"), fewBits, step.width, step.d, bits, group, 1, screenRank, 0];
      return [...copy, of.at("floors")];
    }
    case "rescore":
      return [...of.matrix("weight", step.weight), of.at("floors")];
    default:
      return step satisfies never;
  }
}

/** The words between a projection's activation and its products where no gate decides and nothing is at few bits. */
function ungated(of: Arguments): number[] {
  const none = of.matrix("", null);
  return [...none, 0, 0, 0, 0, ...none, 0, 0, 0, 0, 0, 0, ...none];
}

function projectWords(step: ProjectStep, of: Arguments): number[] {
  const { gate, exact, parts, correction } = step;
  const quantized = parts[0]!.quantized !== null;
  const decided = columnSets.indexOf(gate === null ? "columns" : "tiers.open");
  const products = tiers(step).flatMap(({ tier, of: matrix }) => {
    const { columns, input } = productOf(step, tier, matrix);
    return parts.map((part, index) => {
      const [weight, bias] = step.glu
        ? [`${["gate", "up"][index]}_${matrix}`, `${["gate", "up"][index]}_bias`]
        : [`${matrix}${index}`, `bias${index}`];
      const [which, from] = [columnSets.indexOf(columns), inputs.indexOf(input)];
      return [...of.matrix(weight, part[matrix]!), of.at(bias), step.glu ? 0 : part.column, which, from];
    });
  });
  return [
    step.width,
    Number(step.head),
    of.at("residual"),
    activations.indexOf(step.activation),
    ...of.matrix("basis", gate?.basis ?? null),
    of.at("g"),
    of.at(gate === null ? "" : `${gateName(step.input, "subspace", true)}_counters`),
    ...double(gate?.epsilon ?? 0),
    ...of.matrix("projections", exact?.source ?? null),
    decided,
    of.at(exact === null ? "" : `${gateName(step.input, "error", gate !== null)}_counters`),
    ...double(exact?.threshold ?? 0),
    quantized ? step.d : 0,
    decided,
    ...of.matrix("correction", quantized ? correction : null),
    products.length,
    ...products.flat(),
  ];
}

function cacheWords(step: Extract<Step, { kind: "cache" }>, of: Arguments, context: number): number[] {
  const { heads, kvHeads, headDim, cache } = step.attention;
  const { norms, rope } = step;
  return [
    ...[heads, kvHeads, headDim, cacheBlock(context), cacheTypes.indexOf(cache)],
    ...[step.sourceWidth, step.queryColumn, step.keyColumn, step.valueColumn],
    ...[of.at("query_gain"), float(norms?.query.epsilon ?? 0)],
    ...[of.at("key_gain"), float(norms?.key.epsilon ?? 0)],
    ...[of.at("rope"), rope?.rotaryDim ?? 0, Number(rope?.pairing === "adjacent")],
  ];
}
