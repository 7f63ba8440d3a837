import type { DeviceStep, NormNode, Step, ValueId } from "../ir.js";

/**
 * The steps of a GPU's token program. A launch costs more there than reading a value again, so every launch that reads
 * a norm's result normalises for itself, and attention updates the cache on its way. What is left of a transformer
 * layer are five launches: query, key and value; attention; its output; gate and up; down. A gated input adds one, that
 * computes its coordinates, unless its basis is so small that every workgroup does better to compute them for itself.
 * The last launch chooses the most likely token.
 */
export function fuse(
  steps: readonly Step[],
  computesOwnBasis: (shape: { k: number; d: number }) => boolean,
): readonly DeviceStep[] {
  const norms = fusedNorms(steps);
  const fused: DeviceStep[] = [];
  for (const [index, step] of steps.entries()) {
    switch (step.kind) {
      case "embed":
        fused.push(step);
        break;
      case "norm":
        if (!norms.has(step.output)) fused.push(step);
        break;
      case "basis":
        if (!computesOwnBasis(step))
          fused.push({ ...step, ...inputOf(step.input, norms), squares: squaresOf(step.output) });
        break;
      case "project": {
        const given = step.gate !== null && !computesOwnBasis({ k: step.gate.k, d: step.d });
        const squares = given ? squaresOf(step.gate.coordinates) : null;
        fused.push({ ...step, ...inputOf(step.input, norms), squares });
        if (step.head) fused.push(chooseStep(step));
        break;
      }
      case "cache": {
        const attend = steps[index + 1];
        if (attend?.kind !== "attend" || attend.layer !== step.layer) {
          throw new Error(`the cache of layer ${step.layer} is updated without attention after it`);
        }
        const { norms: headNorms, rope, keyColumn, valueColumn } = step;
        fused.push({ ...attend, keyColumn, valueColumn, norms: headNorms, rope });
        break;
      }
      case "attend":
        break; // with its cache
      default:
        step satisfies never;
    }
  }
  return fused;
}

/** Norms of whole values that only projections read, by their result. */
function fusedNorms(steps: readonly Step[]): ReadonlyMap<ValueId, NormNode> {
  const norms = new Map<ValueId, NormNode>();
  for (const step of steps) {
    if (step.kind === "norm" && step.residual === null) norms.set(step.output, step.node);
  }
  for (const step of steps) {
    const otherwise =
      step.kind === "project"
        ? [step.residual]
        : step.kind === "norm"
          ? [step.node.input, step.residual]
          : [];
    for (const id of otherwise) if (id !== null) norms.delete(id);
  }
  return norms;
}

function inputOf(input: ValueId, norms: ReadonlyMap<ValueId, NormNode>) {
  const norm = norms.get(input) ?? null;
  return { input: norm === null ? input : norm.input, normed: input, norm };
}

function squaresOf(coordinates: ValueId): ValueId {
  return `${coordinates}_squares`;
}

function chooseStep({ output, width }: { output: ValueId; width: number }): DeviceStep {
  return { kind: "choose", input: output, output: `${output}_choice`, vocabulary: width };
}
