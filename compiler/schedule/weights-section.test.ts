import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readTarget } from "../config/targets.js";
import { planGates } from "../ir/forms.js";
import type { ValueId } from "../ir/graph.js";
import { cacheBlock } from "../layout/cache.js";
import { maxColumns, strideOf } from "../layout/stride.js";
import { makePlan } from "../passes/index.js";
import { fixtureNames, openFixture } from "../testing/fixtures.js";
import { placeValues } from "./arena.js";
import { schedule } from "./program.js";

const valueIds = ["a", "b", "c", "d", "e", "f", "g"];

/** Launches that read and write some of seven values; a value has one width. */
const launchLists = fc
  .tuple(
    fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 7, maxLength: 7 }),
    fc.array(fc.subarray(valueIds), { minLength: 1, maxLength: 20 }),
  )
  .map(([widths, lists]) => ({
    widths: new Map(valueIds.map((id, i) => [id, widths[i]!])),
    launches: lists.map((ids) => ({ values: new Map(ids.map((id) => [id, widths[valueIds.indexOf(id)]!])) })),
  }));

test("values that live at the same time do not overlap, and all lie in the arena", () => {
  fc.assert(
    fc.property(launchLists, ({ widths, launches }) => {
      const { offsets, bytes } = placeValues(launches);
      const used = [...new Set(launches.flatMap(({ values }) => [...values.keys()]))];
      expect([...offsets.keys()].sort()).toEqual(used.sort());
      const uses = (id: ValueId) => launches.flatMap(({ values }, at) => (values.has(id) ? [at] : []));
      const places = used.map((id) => {
        const begin = offsets.get(id)!;
        const end = begin + maxColumns * strideOf(widths.get(id)!) * 4;
        expect(begin % 64).toBe(0);
        expect(end).toBeLessThanOrEqual(bytes);
        return { begin, end, first: uses(id)[0]!, last: uses(id).at(-1)! };
      });
      places.forEach((one, i) => {
        for (const other of places.slice(i + 1)) {
          const together = one.first <= other.last && other.first <= one.last;
          const overlap = one.begin < other.end && other.begin < one.end;
          expect(together && overlap).toBe(false);
        }
      });
    }),
  );
});

describe("what a schedule refers to", () => {
  const options = { forms: ["gated" as const], k: [5], epsilon: [0.5] };
  for (const name of fixtureNames()) {
    test(name, async () => {
      const { model } = await openFixture(name);
      model.weights.close();
      const plan = makePlan(model.graph, { options });
      const scheduled = schedule(plan, ["bounded", "exact"], readTarget("cpu-portable"));
      const { items, bytes } = scheduled.weights;

      let end = 0;
      for (const item of items) {
        expect(item.offset % 64).toBe(0);
        expect(item.offset).toBeGreaterThanOrEqual(end);
        expect(item.bytes).toBeGreaterThan(0);
        end = item.offset + item.bytes;
      }
      expect(end).toBe(bytes);
      expect(new Set(items.map(({ content }) => JSON.stringify(content))).size).toBe(items.length);

      const sizes = {
        weights: bytes,
        arena: scheduled.arenaBytes,
        cache: scheduled.cacheBytes,
        counters: scheduled.counterBytes,
        step: 272,
      };
      const starts = new Set(items.map(({ offset }) => offset));
      const seen = new Set<number>();
      for (const program of Object.values(scheduled.programs)) {
        expect(program.head).toHaveLength(1);
        expect(program.logits.offset + maxColumns * program.logits.stride * 4).toBeLessThanOrEqual(
          scheduled.arenaBytes,
        );
        for (const launch of [...program.body, ...program.head]) {
          expect(launch.arguments).toHaveLength(scheduled.kernels[launch.kernel]!.arguments.length);
          for (const { buffer, offset, bytes: touched } of launch.arguments) {
            expect(touched).toBeGreaterThan(0);
            expect(offset + touched).toBeLessThanOrEqual(sizes[buffer]);
            if (buffer !== "weights") continue;
            expect(starts.has(offset)).toBe(true);
            seen.add(offset);
          }
        }
      }
      expect(seen).toEqual(starts);
      expect(scheduled.cacheBytes % cacheBlock(model.graph.context)).toBe(0);
      const { exact, bounded } = scheduled.programs;
      expect(exact!.taps.map(({ value }) => value)).toEqual(plan.groups.map(({ input }) => input));
      const order = exact!.taps.map(({ after }) => after);
      expect(order).toEqual([...order].sort((a, b) => a - b));
      expect(bounded!.gates).toEqual(planGates(plan).map(({ input }) => input));
      expect(new Set(scheduled.kernels.map(({ symbol }) => symbol)).size).toBe(scheduled.kernels.length);
    });
  }
});
