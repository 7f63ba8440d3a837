import type { Step } from "../ir/steps.js";
import { canScreen } from "../layout/screen.js";
import { shapeOf } from "../layout/shape.js";

/**
 * The steps with those of a screened head behind them, which compute the largest logit in place of the head; the same
 * steps where the head is no plain product with a matrix of a type that may be screened.
 */
export function withScreenedHead(steps: readonly Step[]): readonly Step[] {
  const head = steps.at(-1);
  if (head?.kind !== "project" || !head.head) return steps;
  const [part] = head.parts;
  const plain = head.activation === null && head.residual === null && head.gate === null;
  if (!plain || head.parts.length > 1 || part!.bias !== null || part!.quantized !== null) return steps;
  const { weight } = part!;
  if (weight.kind !== "stored" || !canScreen(shapeOf(weight))) return steps;
  const { output, input, d, width } = head;
  const shared = { layer: null, output, floors: `${output}_floors`, input, d, width };
  const { coded: _, ...matrix } = weight.matrix;
  return [
    ...steps,
    { kind: "screen", ...shared, copy: { kind: "screen", matrix } },
    { kind: "rescore", ...shared, weight },
  ];
}
