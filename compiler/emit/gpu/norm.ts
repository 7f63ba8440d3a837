import type { NormNode } from "../../ir/graph.js";
import { floatLiteral } from "../literal.js";
import { normFormula } from "../projection.js";
import type { DeviceOperands } from "./operands.js";

/** The maths of a norm on the way in, before that of what follows; nothing without one. */
export function prefix(norm: NormNode | null): string {
  return norm === null ? "" : `x = ${normFormula(norm.method, "h")}; `;
}

/** The parameters of a norm on the way in, of all columns or of those that a gate leaves; null without one. */
export function normParams(norm: NormNode | null, operands: DeviceOperands, ofAll: boolean) {
  if (norm === null) return null;
  operands.vector("gain", norm.gain);
  return {
    ofAll,
    layer: norm.method === "layer",
    bias: norm.bias === null ? "nullptr" : operands.vector("shift", norm.bias),
    epsilon: floatLiteral(norm.epsilon),
  };
}
