import { describe, expect, test } from "vitest";
import { type GpuShape, isGpu } from "../config/target.js";
import { readTarget } from "../config/targets.js";
import { makePlan } from "../passes/index.js";
import { openFixture } from "../testing/fixtures.js";
import { launchesPerLayer } from "./listing.js";
import { schedule } from "./program.js";

/** The schedule of a fixture whose linears are all gated. */
async function scheduled(fixture: string, name: string, shape: Partial<GpuShape> = {}) {
  const { model } = await openFixture(fixture);
  model.weights.close();
  const options = { forms: ["gated" as const], k: [4], epsilon: [0.5] };
  const read = readTarget(name);
  const target = isGpu(read) ? { ...read, gpu: { ...read.gpu, ...shape } } : read;
  const plan = makePlan(model.graph, { options, device: target.device });
  return { graph: model.graph, ...schedule(plan, ["bounded", "exact"], target) };
}

describe.each(["gpt2-f32", "llama-f16"])("the launches of %s", (fixture) => {
  test.each(["cpu-portable", "mi300x"])("for %s name what they refer to", async (target) => {
    const { listings, programs, kernels } = await scheduled(fixture, target);
    for (const mode of ["bounded", "exact"] as const) {
      const listing = listings[mode]!;
      const program = programs[mode]!;
      for (const part of ["body", "head"] as const) {
        const places = ({ arguments: all }: { arguments: readonly { buffer: string; offset: number }[] }) =>
          all.map(({ buffer, offset }) => ({ buffer, offset }));
        expect(listing[part].map(places)).toEqual(program[part].map(places));
        // The listing says of what is a value or weights how large it is, as the runtime is told.
        const sizes = program[part].flatMap((launch) => launch.arguments.map(({ bytes }) => bytes));
        const listed = listing[part].flatMap((launch) => launch.arguments.map(({ bytes }) => bytes));
        expect(listed.map((bytes, index) => bytes ?? sizes[index])).toEqual(sizes);
        expect(listing[part].map((launch) => launch.kernel)).toEqual(
          program[part].map((launch) => kernels[launch.kernel]!.symbol),
        );
      }
      const named = listing.body.flatMap((launch) => launch.arguments.map((argument) => argument.refers_to));
      expect(named).toEqual(
        expect.arrayContaining(["step", "keys of layer 1", "values of layer 0", "layer1_attention_inputs"]),
      );
      expect(named.every((name) => name !== "")).toBe(true);
    }
  });

  test.each(["cpu-portable", "mi300x"])(
    "for %s say what they read and write, and of which linears",
    async (name) => {
      const { listings, graph } = await scheduled(fixture, name);
      for (const [mode, tiers] of [
        ["bounded", ["image", "weight"]],
        ["exact", ["weight"]],
      ] as const) {
        const written = new Set<string | null>();
        const rows = new Map<string, string[]>();
        for (const { reads, writes, arguments: all } of [...listings[mode]!.body, ...listings[mode]!.head]) {
          const named = (names: readonly string[]) => all.filter((one) => names.includes(one.name));
          for (const { buffer, value } of named(reads))
            if (buffer === "arena") expect(written).toContain(value);
          for (const { value } of named(writes)) written.add(value);
          expect(named(writes).every(({ buffer }) => buffer !== "weights" && buffer !== "step")).toBe(true);
          expect(new Set([...reads, ...writes])).toEqual(new Set(all.map((one) => one.name)));
          for (const { rows: held } of all)
            for (const linear of held?.linears ?? [])
              rows.set(linear, [...(rows.get(linear) ?? []), held!.tier]);
        }
        const linears = graph.nodes.flatMap(({ id, kind }) => (kind === "linear" ? [id] : []));
        expect([...rows.keys()].sort()).toEqual(linears.sort());
        for (const id of linears)
          expect(rows.get(id)!.sort(), id).toEqual(id === "logits" ? ["weight"] : tiers);
        expect(written).toContain(graph.output);
      }
    },
  );

  test("are five a layer on a GPU, and one more for each gated value whose basis is large", async () => {
    const { listings } = await scheduled(fixture, "mi300x");
    expect(launchesPerLayer(listings.exact!)).toBe(5);
    expect(launchesPerLayer(listings.bounded!)).toBe(5);
    const large = await scheduled(fixture, "mi300x", { cacheBandwidthPerUnit: 1 });
    expect(launchesPerLayer(large.listings.bounded!)).toBe(9);
    const layers = listings.exact!.body.map(({ layer }) => layer);
    expect(layers).toEqual([null, ...Array(5).fill(0), ...Array(5).fill(1)]);
    expect(listings.exact!.head.every(({ layer }) => layer === null)).toBe(true);
  });
});

test("a program without layers has none to a layer", () => {
  expect(launchesPerLayer({ body: [], head: [] })).toBe(0);
});
