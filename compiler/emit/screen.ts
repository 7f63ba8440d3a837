import type { RescoreStep, ScreenStep } from "../ir/steps.js";
import { screenLayout, screenQuantizer, screenRank } from "../layout/screen.js";
import { coresOf, dotCoresOf } from "./cores.js";
import { bytesRead, type CpuKernelCall, isPadded, Operands } from "./operands.js";
import { matrixType } from "./projection.js";

/** Upper bounds of all logits, by a copy of the head at few bits. */
export function screen({ input, output, floors, d, width, copy }: ScreenStep): CpuKernelCall {
  const operands = new Operands();
  operands.value("x", input, "read");
  operands.value("y", output, "write");
  const { bits, group } = screenQuantizer;
  return {
    template: "screen",
    symbol: `screen_int${bits}_${width}x${d}`,
    params: {
      summary: "y >= W x, by a copy of W and what its rows are off",
      shape: `x [columns, ${d}], y [columns, ${width}]`,
      account: bytesRead(screenLayout(copy.matrix).bytes),
      out: width,
      d,
      bits,
      group,
      rank: screenRank,
      floors: operands.value("floors", floors, "write"),
      copy: operands.add("copy", `packed ${bits} bits/${group}, with bounds`, {
        kind: "screen",
        source: copy,
      }),
    },
    operands: operands.slots,
    launch: null,
    cores: dotCoresOf([screenQuantizer]),
  };
}

/** The logits of rows whose upper bounds reach the largest lower bound. */
export function rescore({ input, output, floors, d, width, weight }: RescoreStep): CpuKernelCall {
  const operands = new Operands();
  operands.value("x", input, "read");
  operands.value("y", output, "update");
  const slots = {
    floors: operands.value("floors", floors, "read"),
    weight: operands.weight("weight", weight, null),
  };
  return {
    template: "rescore",
    symbol: `rescore_${width}x${d}`,
    params: {
      summary: "y = W x where a row may have the largest",
      shape: `x [columns, ${d}], W [${width}, ${d}], y [columns, ${width}]`,
      account: "reads the rows of weights that may have the largest logit",
      width,
      padded: isPadded(width),
      matrix: matrixType(weight),
      ...slots,
    },
    operands: operands.slots,
    launch: null,
    cores: coresOf(operands),
  };
}
