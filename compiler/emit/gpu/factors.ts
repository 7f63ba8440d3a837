import type { GpuShape, GpuTarget } from "../../config/target.js";
import { gateName } from "../../ir/forms.js";
import type { DeviceStep, InputFactors, WeightSource } from "../../ir/steps.js";
import { sourceBytes } from "../../layout/matrix.js";
import { shapeOf } from "../../layout/shape.js";
import { factorPlaces, factorsOf, presentFactors } from "../../lower/factors.js";
import { doubleLiteral } from "../literal.js";
import { bytesRead, type GpuKernelCall } from "../operands.js";
import {
  correctionBytes,
  groupsOf,
  launchOf,
  ldsOf,
  ownFactorBytes,
  ruledSplits,
  splitsOf,
  unitShapeOf,
} from "./division.js";
import { normParams, prefix } from "./norm.js";
import { DeviceOperands } from "./operands.js";

type FactorsStep = Extract<DeviceStep, { kind: "factors" }>;
type ProjectStep = Extract<DeviceStep, { kind: "project" }>;

/** B^T x, V^T x and S x, those that are there, and ||x||^2. */
export function factors(step: FactorsStep, { gpu, device }: GpuTarget): GpuKernelCall {
  const { d, norm, squares } = step;
  const operands = new DeviceOperands();
  operands.input("x", step.input);
  operands.output("y", step.output);
  const sources = presentFactors(step.factors);
  const places = factorPlaces(step.factors);
  const products = named(step.factors).map(({ name, source }) => {
    const { type, out, d: width } = unitShapeOf(source);
    const column = places[name];
    return {
      tier: null,
      out,
      d: width,
      columns: "columns",
      input: "source",
      type,
      rank: null,
      begun: false,
      splits: splitsOf(source, gpu),
      column,
      last: column + out - 1,
      bias: null,
      weight: operands.weight(name, source, null),
    };
  });
  const bytes = sources.reduce((sum, source) => sum + sourceBytes(device, source), 0);
  const lds = ldsOf(gpu, 1, sources, { norm: norm !== null, gate: squares !== null });
  return {
    template: "project",
    symbol: `${nameOf(step)}${norm === null ? "" : `_${norm.method}`}`,
    params: {
      summary: `${prefix(norm)}${summaryOf(step.factors)}`,
      shape: `x [columns, ${d}], ${shapesOf(step.factors)}, y [columns, ${places.width}]`,
      account: bytesRead(bytes),
      norm: normParams(norm, operands, true),
      waves: gpu.wavesPerWorkgroup,
      width: places.width,
      d,
      stageBytes: lds.stage,
      select: "all_columns",
      activation: "identity",
      residual: null,
      inputType: `Direct<${d}>`,
      ahead: null,
      factors: null,
      gate: null,
      exact: null,
      correction: null,
      decides: squares !== null,
      squares: squares === null ? null : operands.output("squares", squares, "double"),
      products,
      parameters: operands.parameters,
    },
    operands: operands.slots,
    launch: launchOf(
      gpu,
      gpu.wavesPerWorkgroup,
      Math.max(...sources.map((one) => groupsOf(one, gpu))),
      lds.total,
    ),
  };
}

type FactorName = "correction" | "basis" | "projections";

/** The factors that are there, by their names. */
function named(factors: InputFactors): readonly { name: FactorName; source: WeightSource }[] {
  const names = ["correction", "basis", "projections"] as const;
  return names.flatMap((name) => {
    const source = factors[name];
    return source === null ? [] : [{ name, source }];
  });
}

function nameOf({ factors: { basis, correction, projections }, d }: FactorsStep): string {
  const parts = [
    ...(basis === null ? [] : [`basis_${shapeOf(basis).out}`]),
    ...(correction === null ? [] : [`correction_${correction.out}`]),
    ...(projections === null ? [] : [`projections_${projections.out}`]),
  ];
  return `${parts.join("_")}x${d}`;
}

function summaryOf({ basis, correction, projections }: InputFactors): string {
  const parts = [
    ...(correction === null ? [] : ["B^T x"]),
    ...(basis === null ? [] : ["g = V^T x"]),
    ...(projections === null ? [] : ["S x"]),
  ];
  return parts.join(", ");
}

function shapesOf(factors: InputFactors): string {
  const letters = { correction: "B^T", basis: "V^T", projections: "S" };
  return named(factors)
    .map(({ name, source }) => {
      const { out, d } = unitShapeOf(source);
      return `${letters[name]} [${out}, ${d}]`;
    })
    .join(", ");
}

/** Gates and the correction of a projection: how its kernel gets what they compare and add. */
export function factorParams(step: ProjectStep, operands: DeviceOperands, gpu: GpuShape) {
  const all = factorsOf(step);
  if (all === null) return { factors: null, gate: null, exact: null, correction: null, decides: false };
  const { given, gate, exact, correction, norm } = step;
  const places = factorPlaces(all);
  const own = given === null;
  const decides = gate !== null || exact !== null;
  if (given !== null) {
    operands.input("g", given.output);
    if (given.squares !== null) operands.input("squares", given.squares, "const double");
  }
  // A workgroup that computes for itself does so alone.
  const splits = (source: WeightSource) => (own ? ruledSplits(source, { ...gpu, computeUnits: 1 }) : null);
  const counters = (name: string, kind: "subspace" | "error") =>
    step.counts
      ? operands.add(
          name,
          "uint64_t",
          { kind: "counter", gate: gateName(step.normed, kind, gate !== null) },
          "update",
        )
      : "nullptr";
  // Where the factors are given, the basis settles what is near the threshold.
  if (all.basis !== null) operands.weight("basis", all.basis, null);
  if (own) {
    for (const { name, source } of named(all)) if (name !== "basis") operands.weight(name, source, null);
  }
  const undecided = gate === null ? "columns" : "tiers.open";
  return {
    decides,
    factors: {
      width: places.width,
      own,
      measures: own && decides,
      squares: given === null ? null : given.squares === null ? "nullptr" : "squares",
    },
    gate: gate && {
      counters: counters("counters", "subspace"),
      k: gate.k,
      begin: places.basis,
      epsilon: doubleLiteral(gate.epsilon),
      measures: norm !== null && !own,
      splits: splits(all.basis!),
    },
    exact: exact && {
      counters: counters("exact_counters", "error"),
      type: unitShapeOf(exact.source).type,
      out: exact.source.out,
      begin: places.projections,
      columns: undecided,
      threshold: doubleLiteral(exact.threshold),
      splits: splits(exact.source),
    },
    correction: correction && {
      type: unitShapeOf(correction).type,
      rank: correction.out,
      columns: exact === null ? undecided : "exact.closed",
      splits: splits(correction),
    },
  };
}

/** LDS of a projection. */
export function memoryOf(
  step: ProjectStep,
  gpu: GpuShape,
  matrices: number,
  sources: readonly WeightSource[],
) {
  const factors = factorsOf(step);
  const own = factors !== null && step.given === null;
  const given = step.correction === null ? 0 : correctionBytes(step.correction.out);
  return ldsOf(gpu, matrices, own ? [...sources, ...presentFactors(factors)] : sources, {
    norm: step.norm !== null,
    gate: step.gate !== null || step.exact !== null,
    factors: own ? ownFactorBytes(factorPlaces(factors).width) : given,
  });
}
