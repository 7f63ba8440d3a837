import { describe, expect, test } from "vitest";
import { weightReads } from "../../account.js";
import { bytesPerToken } from "../../cost.js";
import { blockSizes, type DType } from "../../ir.js";
import { makePlan } from "../../passes/index.js";
import { packedBytes } from "../../schedule/layout.js";
import { densePlan, noFactors, openFixture } from "../../testing.js";
import { gaussian, linearModel, randomBlocks, storedAs } from "../kernel-testing.js";
import {
  feedSimulated,
  h200,
  mi300x,
  type Simulated,
  type SimulatedResult,
  simulatedBundle,
} from "./simulation-testing.js";

/** Bytes that the launches of a kernel loaded of one of its arguments, and how many launches there were. */
function loadedOf(
  { scheduled }: Simulated,
  { traffic }: SimulatedResult,
  template: string,
  argument: string,
) {
  const kernel = scheduled.kernels.find((one) => one.template === template)!;
  const moved = traffic.find(({ symbol }) => symbol === kernel.symbol)!;
  const slot = kernel.arguments.findIndex(({ name }) => name === argument);
  return { launches: moved.launches, loaded: moved.arguments[slot]!.loaded };
}

describe("a launch loads every byte of a packed matrix once, whatever its type and however many columns there are", () => {
  for (const dtype of Object.keys(blockSizes) as DType[]) {
    test(dtype, async () => {
      const { elements } = blockSizes[dtype];
      // An odd number of units, and rows that do not fill their tile.
      const [out, d, tokens] = [9, elements > 1 ? 5 * elements : 331, 18];
      const random = gaussian(1);
      const values = (count: number) => Float32Array.from({ length: count }, random);
      const bytes = elements > 1 ? randomBlocks(dtype, out * d, 1) : storedAs(dtype, values(out * d));
      const model = await linearModel(values(tokens * d), tokens, { dtype, out, d, bytes });
      const ids = Array<number>(tokens).fill(0);
      for (const target of elements > 1 ? [mi300x] : [mi300x, h200]) {
        const simulated = await simulatedBundle(model, densePlan, ["exact"], noFactors, target);
        for (const [chunks, launches] of [
          [[1], 18],
          [[16], 2],
        ] as const) {
          const found = await feedSimulated(simulated, ids, { chunks, units: 3 });
          expect(
            loadedOf(simulated, found, "project", "weight0"),
            `${target.name}: passes of ${chunks}`,
          ).toEqual({
            launches,
            loaded: launches * packedBytes(target.device, dtype, out, d),
          });
        }
      }
      model.weights.close();
    });
  }
});

describe("a dense token loads the bytes that the plan says", () => {
  for (const [name, target] of [
    ["gpt2-bf16", mi300x],
    ["llama-gguf", mi300x],
    ["gemma3-gguf", h200],
  ] as const) {
    test(`${name} on ${target.name}`, async () => {
      const { model, ids } = await openFixture(name);
      const simulated = await simulatedBundle(model, densePlan, ["exact"], noFactors, target);
      const { dense } = bytesPerToken(makePlan(model.graph, { options: densePlan, device: target.device }));
      const { traffic } = await feedSimulated(simulated, ids, { chunks: [1] });
      const reads = weightReads(simulated.scheduled, "exact", traffic);
      expect(reads.ratio).toBe(1);
      expect(Math.abs(reads.simulated_bytes / (dense * ids.length) - 1)).toBeLessThan(0.02);
      model.weights.close();
    });
  }
});
