import { recipeOf, sharing } from "../ir/forms.js";
import type { ActivationFunction, LinearNode, ValueId } from "../ir/graph.js";
import type { InputGroup, Plan } from "../ir/plan.js";
import type { ProjectionPart, QuantizedSource, Step } from "../ir/steps.js";
import { inputFactors } from "./factors.js";
import { basisSteps, type ProjectStep } from "./linears.js";
import type { Wiring } from "./wiring.js";

/** What a projection computes besides its linears. */
interface Fused {
  readonly activation?: ActivationFunction;
  readonly residual?: ValueId;
  /** True: the linears are gate and up of f(gate) * up. */
  readonly glu?: boolean;
  readonly head?: boolean;
}

/** Makes the steps of one plan, in the order in which they run: what the first reader of an input does depends on it. */
export class StepMaker {
  private readonly decided = new Set<ValueId>();
  private layers = 0;

  constructor(
    private readonly plan: Plan,
    private readonly wiring: Wiring,
  ) {}

  width(id: ValueId): number {
    return this.wiring.width(id);
  }

  /** The next layer of the key-value cache. */
  nextLayer(): number {
    return this.layers++;
  }

  /** The step of linears that read one value, side by side in `output`; before it the one that a gate of theirs needs. */
  project(output: ValueId, linears: readonly LinearNode[], fused: Fused = {}): readonly Step[] {
    const { input, layer } = linears[0]!;
    const { d } = linears[0]!.weight;
    const group = this.groupOf(input);
    const counts = !this.decided.has(input);
    this.decided.add(input);
    const shared = this.sharedOf(group, d);
    const { gate } = shared;
    const glu = fused.glu ?? false;
    let width = 0;
    const parts = linears.map((linear): ProjectionPart => {
      const column = glu ? 0 : width;
      width = column + linear.weight.out;
      return {
        linear: linear.id,
        weight: { kind: "stored", matrix: linear.weight },
        image: gate && { kind: "image", linear: linear.id, out: linear.weight.out, k: gate.k },
        quantized: this.quantizedOf(linear, group),
        bias: linear.bias,
        column,
      };
    });
    const step: ProjectStep = {
      kind: "project",
      layer,
      output,
      input,
      d,
      width,
      parts,
      activation: fused.activation ?? null,
      glu,
      residual: fused.residual ?? null,
      ...shared,
      counts,
      head: fused.head ?? false,
    };
    return [...(counts ? basisSteps(step) : []), step];
  }

  /** What the linears of an input share: factors and gates. */
  private sharedOf(group: InputGroup, d: number): Pick<ProjectStep, "gate" | "correction" | "exact"> {
    const { subspace, exact } = sharing(this.plan, group);
    const { basis, correction, projections } = inputFactors(recipeOf(this.plan, group), subspace, d);
    return {
      gate: subspace && basis && { coordinates: `${group.input}_coordinates`, basis, ...subspace },
      correction,
      exact: exact && projections && { ...exact, source: projections },
    };
  }

  private quantizedOf({ id, weight }: LinearNode, group: InputGroup): QuantizedSource | null {
    const tier = this.plan.linears.get(id)!.form.tier;
    if (tier === null) return null;
    const { quantizer, rank } = tier;
    const recipe = recipeOf(this.plan, group);
    return { kind: "quantized", linear: id, out: weight.out, d: weight.d, quantizer, rank, recipe };
  }

  private groupOf(input: ValueId): InputGroup {
    return this.plan.groups.find((group) => group.input === input)!;
  }
}
