import type { CallableLinear } from "../ir/program.js";
import type { ProjectionPart, Step } from "../ir/steps.js";

/** The step y = f(W x + b) + residual, or f(gate) * up, of linears that read one value. */
export type ProjectStep = Extract<Step, { kind: "project" }>;

/** The step that a projection's subspace gate needs before it; none without such a gate. */
export function basisSteps({ layer, input, gate }: ProjectStep): readonly Step[] {
  return gate === null ? [] : [{ kind: "basis", layer, output: gate.coordinates, input, basis: gate.basis }];
}

/** The linears that a projection computes, side by side, and how wide they are together. */
export function callableLinears({ parts }: ProjectStep): {
  readonly linears: readonly CallableLinear[];
  readonly width: number;
} {
  let width = 0;
  const linears = parts.map(({ linear, weight, bias }): CallableLinear => {
    if (weight.kind !== "stored")
      throw new Error(`the weight of ${linear} is not one of the model's tensors`);
    const { tensor, first, out } = weight.matrix;
    const column = width;
    width += out;
    return { name: linear, tensor, first, out, column, bias: bias !== null };
  });
  return { linears, width };
}

/**
 * The steps that compute the linears of a projection, and nothing else: without activation, residual and product, for
 * every column. Matrices are packed as the pass has them: where a step stacks its matrices in one, gate and up are a step
 * each, since the pass has them apart.
 */
export function callSteps(
  step: ProjectStep,
  { stacksParts }: { readonly stacksParts: boolean },
): readonly Step[] {
  const { linears, width } = callableLinears(step);
  const parts = step.parts.map((part, index) => ({ ...part, column: linears[index]!.column }));
  const project = (some: readonly ProjectionPart[], index: number): Step => ({
    ...step,
    width,
    parts: some,
    activation: null,
    glu: false,
    residual: null,
    counts: index === 0,
    head: false,
  });
  const apart = step.glu && stacksParts;
  return [...basisSteps(step), ...(apart ? parts.map((part) => [part]) : [parts]).map(project)];
}
