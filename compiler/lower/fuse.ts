import type { AttentionNode, NormNode, ValueId } from "../ir/graph.js";
import type { DeviceStep, InputFactors, Step } from "../ir/steps.js";
import { inputsOf } from "../ir/walk.js";
import { factorsOf } from "./factors.js";

type ProjectStep = Extract<Step, { kind: "project" }>;
type DeviceProject = Extract<DeviceStep, { kind: "project" }>;

/** How attention is cut into parts of the positions. */
export interface AttentionParts {
  /** Floats that parts take a column; 0 where a query sees one part at most. */
  readonly width: number;
  /** As `PartialSums.staged`. */
  readonly staged: number;
  /** Whether a query may see more than one part, and more than are staged. */
  readonly combined: boolean;
}

/**
 * The steps of a GPU's token program. A launch costs more there than reading a value again, so every launch that reads
 * a norm's result normalises for itself, and attention updates the cache on its way. What is left of a transformer
 * layer are five launches: query, key and value; attention; its output; gate and up; down. An input of linears
 * with gates or corrections adds one, that multiplies it by their factors, unless these are so small that every
 * workgroup does better to do so for itself. Where a query may see several parts of the positions, attention leaves sums
 * of each, and a launch adds these up; where they are few, the projection behind attention does, if it alone reads them.
 * The last launch chooses the most likely token.
 */
export function fuse(
  steps: readonly Step[],
  computesOwn: (factors: InputFactors) => boolean,
  cut: (attention: AttentionNode, reader: ProjectStep | null) => AttentionParts,
): readonly DeviceStep[] {
  const norms = fusedNorms(steps);
  const attended = new Map<ValueId, DeviceProject["attended"]>();
  const fused: DeviceStep[] = [];
  for (const [index, step] of steps.entries()) {
    switch (step.kind) {
      case "norm":
        if (!norms.has(step.output)) fused.push(step);
        break;
      case "basis":
        break; // with the projection that follows
      case "project": {
        const parts = attended.get(step.input) ?? null;
        const input = parts === null ? inputOf(step.input, norms) : inputOfParts(step.input, parts);
        const factors = factorsOf(step);
        const given = factors === null || computesOwn(factors) ? null : givenOf(step);
        if (factors !== null && given !== null && step.counts)
          fused.push({ kind: "factors", layer: step.layer, d: step.d, factors, ...input, ...given });
        fused.push({ ...step, ...input, given, attended: parts });
        if (step.head) fused.push(chooseStep(step));
        break;
      }
      case "cache": {
        if (step.forDrafts === true) break; // with the one before it
        const next = steps[index + 1];
        const forDrafts = next?.kind === "cache" && next.forDrafts === true ? next : null;
        const attend = forDrafts === null ? next : steps[index + 2];
        if (attend?.kind !== "attend" || attend.layer !== step.layer) {
          throw new Error(`the cache of layer ${step.layer} is updated without attention after it`);
        }
        const { norms: headNorms, rope, keyColumn, valueColumn } = step;
        const { layer, output, attention } = attend;
        const { width, staged, combined } = cut(attention, onlyReader(output, steps));
        const partials = width === 0 ? null : { output: `${output}_parts`, width, staged };
        if (partials !== null && staged > 0) attended.set(output, { attention, partials });
        const drafts = forDrafts === null ? {} : { drafts: forDrafts.attention };
        fused.push({ ...attend, keyColumn, valueColumn, norms: headNorms, rope, partials, ...drafts });
        if (partials !== null && combined)
          fused.push({ kind: "combine", layer, output, attention, partials });
        break;
      }
      case "attend":
        break; // with its cache
      case "screen":
      case "rescore":
        throw new Error("heads are screened on CPUs alone");
      default:
        fused.push(step);
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
  for (const step of steps) for (const id of readWhole(step)) norms.delete(id);
  return norms;
}

/** The values that a step reads as they are; of a projection and its basis all but the input, which they normalise. */
function readWhole(step: Step): readonly ValueId[] {
  switch (step.kind) {
    case "embed":
    case "basis":
      return [];
    case "norm":
      return [...inputsOf(step.node), ...(step.residual === null ? [] : [step.residual])];
    case "project":
      return step.residual === null ? [] : [step.residual];
    case "cache":
    case "attend":
      return [step.source];
    case "screen":
    case "rescore":
      return [step.input];
    default:
      return step satisfies never;
  }
}

/** The projection that reads a value, if no other step does. */
function onlyReader(id: ValueId, steps: readonly Step[]): ProjectStep | null {
  const readers = steps.filter(
    (step) => readWhole(step).includes(id) || ("input" in step && step.input === id),
  );
  const [only] = readers;
  return readers.length === 1 && only!.kind === "project" && only!.residual !== id ? only! : null;
}

function inputOfParts(normed: ValueId, { partials }: NonNullable<DeviceProject["attended"]>) {
  return { input: partials.output, normed, norm: null };
}

function inputOf(input: ValueId, norms: ReadonlyMap<ValueId, NormNode>) {
  const norm = norms.get(input) ?? null;
  return { input: norm === null ? input : norm.input, normed: input, norm };
}

function givenOf({ input, gate, exact }: ProjectStep) {
  const decides = gate !== null || exact !== null;
  return { output: `${input}_factors`, squares: decides ? `${input}_squares` : null };
}

function chooseStep({ output, width }: { output: ValueId; width: number }): DeviceStep {
  return { kind: "choose", layer: null, input: output, output: `${output}_choice`, vocabulary: width };
}
