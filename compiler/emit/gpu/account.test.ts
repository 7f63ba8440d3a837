import { describe, expect, test } from "vitest";
import { weightReads } from "../../check/traffic.js";
import { factorQuantizer } from "../../ir/forms.js";
import { blockSizes } from "../../ir/graph.js";
import type { Form, Quantizer } from "../../ir/plan.js";
import type { ProgramMode } from "../../ir/program.js";
import { layouts } from "../../layout/devices.js";
import { bytesPerToken } from "../../passes/cost.js";
import { makePlan } from "../../passes/index.js";
import { type FileType, typeNumbers } from "../../read/gguf-types.js";
import { densePlan, noFactors, openFixture } from "../../testing/fixtures.js";
import { randomLowRank, randomQuantized, withQuantized } from "../../testing/gpu-tiers.js";
import { gaussian, linearModel, randomBlocks, storedAs } from "../../testing/kernels.js";
import {
  feedSimulated,
  h200,
  mi300x,
  type Simulated,
  type SimulatedResult,
  shapedAs,
  simulatedBundle,
  simulatedPlan,
} from "../../testing/simulation.js";
import { withForm } from "../../testing/tiers.js";

/** Bytes that the launches of a kernel loaded of an argument that it alone has, and how many launches there were. */
function loadedOf({ scheduled }: Simulated, { traffic }: SimulatedResult, argument: string) {
  const kernel = scheduled.kernels.find((one) => one.arguments.some(({ name }) => name === argument))!;
  const moved = traffic.find(({ symbol }) => symbol === kernel.symbol)!;
  const slot = kernel.arguments.findIndex(({ name }) => name === argument);
  return { launches: moved.launches, loaded: moved.arguments[slot]!.loaded };
}

/** What program.json says of a program's arguments is what its kernels were seen to load and store. */
function expectListed({ scheduled }: Simulated, { traffic }: SimulatedResult, mode: ProgramMode) {
  const { body, head } = scheduled.listings[mode]!;
  const launches = [...body, ...head];
  for (const { symbol, arguments: moved } of traffic) {
    const { reads, writes, arguments: listed } = launches.find(({ kernel }) => kernel === symbol)!;
    for (const [slot, { name }] of listed.entries()) {
      expect(moved[slot]!.stored > 0, `${symbol} stores ${name}`).toBe(writes.includes(name));
      if (moved[slot]!.loaded > 0) expect(reads, symbol).toContain(name);
    }
  }
}

describe("a launch loads every byte of a packed matrix once, whatever its type and however many columns there are", () => {
  for (const dtype of Object.keys(typeNumbers) as FileType[]) {
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
          expect(loadedOf(simulated, found, "weight0"), `${target.name}: passes of ${chunks}`).toEqual({
            launches,
            loaded: launches * layouts[target.device].packedBytes({ dtype }, out, d),
          });
        }
      }
      model.weights.close();
    });
  }
});

test("a launch loads every byte of a matrix at few bits, of its low-rank factor and of B^T once", async () => {
  const [out, d, tokens, rank] = [9, 331, 18, 20];
  const model = await linearModel(new Float32Array(tokens * d).fill(1), tokens, {
    dtype: "bf16",
    out,
    d,
    bytes: new Uint8Array(2 * out * d),
  });
  const ids = Array<number>(tokens).fill(0);
  const factors = withQuantized(noFactors, (source, seed) => ({
    matrix: randomQuantized(source.out, d, source.quantizer, seed),
    lowRank: source.rank === 0 ? null : randomLowRank(source.out, source.rank, seed),
  }));
  for (const [quantizer, target] of [
    [{ bits: 3, group: 64, symmetric: false }, mi300x],
    [{ bits: 5, group: 32, symmetric: true }, h200],
    [{ bits: 6, group: 128, symmetric: true }, mi300x],
  ] as const) {
    const form: Form = { gate: null, tier: { quantizer, rank, exact: null } };
    const given = shapedAs(target, { cacheBandwidthPerUnit: 1 });
    const plan = withForm(makePlan(model.graph, { options: densePlan, device: target.device }), form);
    const simulated = await simulatedPlan(model, plan, ["bounded"], factors, given);
    for (const [chunks, launches] of [
      [[1], 18],
      [[16], 2],
    ] as const) {
      const found = await feedSimulated(simulated, ids, { mode: "bounded", chunks, units: 3 });
      const bytes = (of: number, source: { quantizer: Quantizer; rank: number }) =>
        launches * layouts[target.device].quantizedBytes({ out: of, d, ...source });
      const loaded = new Map(
        ["quantized0", "correction"].map((name) => [name, loadedOf(simulated, found, name).loaded]),
      );
      expect(loaded, `${target.name}: ${quantizer.bits} bits, passes of ${chunks}`).toEqual(
        new Map([
          ["quantized0", bytes(out, { quantizer, rank })],
          ["correction", bytes(rank, { quantizer: factorQuantizer, rank: 0 })],
        ]),
      );
      expect(weightReads(simulated.scheduled, "bounded", found.traffic).ratio).toBe(1);
      expectListed(simulated, found, "bounded");
    }
  }
  model.weights.close();
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
      const found = await feedSimulated(simulated, ids, { chunks: [1] });
      const reads = weightReads(simulated.scheduled, "exact", found.traffic);
      expectListed(simulated, found, "exact");
      expect(reads.ratio).toBe(1);
      expect(Math.abs(reads.simulated_bytes / (dense * ids.length) - 1)).toBeLessThan(0.02);
      model.weights.close();
    });
  }
});
