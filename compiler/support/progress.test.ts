import { expect, test, vi } from "vitest";
import { duration, Estimate, terminalProgress } from "./progress.js";

/** Parts of a stage: units, and milliseconds that each takes. */
type Parts = readonly (readonly [units: number, ms: number])[];

/** The largest factor by which the time left is wrong in the second half of a stage, on a clock of its own. */
function worstFactor(parts: Parts, doneBefore = 0): number {
  const steps = [{ time: 0, done: 0 }];
  if (doneBefore > 0) steps.push({ time: 1, done: doneBefore });
  for (const [units, ms] of parts)
    for (let i = 0; i < units; i++) {
      const { time, done } = steps.at(-1)!;
      steps.push({ time: time + ms, done: done + 1 });
    }
  const { time: end, done: total } = steps.at(-1)!;
  const estimate = new Estimate();
  let worst = 1;
  for (const { time, done } of steps) {
    estimate.add(time, done);
    // Below a second it says one.
    if (time < end / 2 || end - time < 1000) continue;
    const factor = (1000 * estimate.secondsLeft(total)!) / (end - time);
    worst = Math.max(worst, factor, 1 / factor);
  }
  return worst;
}

const repeated = (times: number, ...parts: Parts): Parts => Array.from({ length: times }, () => parts).flat();

test("nothing is said of the time left before something is done", () => {
  const estimate = new Estimate();
  expect(estimate.secondsLeft(100)).toBe(null);
  estimate.add(0, 0);
  expect(estimate.secondsLeft(100)).toBe(null);
  estimate.add(500, 0);
  expect(estimate.secondsLeft(100)).toBe(null);
  estimate.add(1000, 10);
  expect(estimate.secondsLeft(100)).toBeCloseTo(4.5, 9);
});

const of = (...parts: Parts): Parts => parts;

/** A stage, by how much its time left may be wrong in the second half, its parts, and units that were done before. */
type StageCase = readonly [name: string, most: number, parts: Parts, doneBefore: number];

/** Rates that change as those of stages do. */
const stages: readonly StageCase[] = [
  ["of one speed", 1.01, of([2000, 50]), 0],
  ["of six long steps", 1.01, of([6, 20_000]), 0],
  ["that lasts for hours", 1.01, of([100_000, 150]), 0],
  ["whose first half an earlier build had done", 1.01, of([100, 100]), 100],
  ["most of which an earlier build had done", 1.01, of([100, 3000]), 900],
  ["that begins ten times as fast", 1.01, of([40, 100], [60, 1000]), 0],
  ["that begins three times as slowly", 1.7, of([20, 600], [180, 200]), 0],
  ["that becomes twice as slow in the middle", 2, of([100, 200], [100, 400]), 0],
  ["that becomes twice as fast in the middle", 2, of([100, 400], [100, 200]), 0],
  ["of layers whose parts differ by four", 2, repeated(30, [4, 300], [2, 75]), 0],
  ["of few layers whose parts differ by four", 2, repeated(6, [1, 3000], [4, 750]), 0],
];

test.each(stages)(
  "the time left is within a factor of two in the second half of a stage %s",
  (_, most, parts, doneBefore) => {
    expect(worstFactor(parts, doneBefore)).toBeLessThanOrEqual(most);
  },
);

test("durations are said as people say them", () => {
  expect([null, 0, 0.4, 59.6, 99, 150, 3600, 7000].map(duration)).toEqual([
    "an unknown time",
    "1 s",
    "1 s",
    "60 s",
    "99 s",
    "3 min",
    "60 min",
    "1 h 57 min",
  ]);
});

test("without a terminal, a long stage writes a line now and then", () => {
  vi.useFakeTimers();
  try {
    const lines: string[] = [];
    const stream = { isTTY: false, write: (text: string) => lines.push(text) };
    const progress = terminalProgress(stream as unknown as NodeJS.WriteStream);
    const update = progress.stage("Packing");
    for (let second = 0; second < 40; second++) {
      update(second, 80);
      vi.advanceTimersByTime(1000);
    }
    progress.finish();
    const title = "Packing".padEnd(44);
    expect(lines.join("")).toBe(
      `${title} \nPacking: 18 %, 65 s left\nPacking: 37 %, 50 s left\n${title} 40.0 s\n`,
    );
  } finally {
    vi.useRealTimers();
  }
});

test("a stage is named when it begins, whether or not it ever says how far it is", () => {
  const lines: string[] = [];
  const stream = { isTTY: false, write: (text: string) => lines.push(text) };
  const progress = terminalProgress(stream as unknown as NodeJS.WriteStream);
  progress.stage("Reading the model");
  expect(lines.join("")).toContain("Reading the model");
  progress.warn("a tensor is constant");
  progress.stage("Packing");
  progress.finish();
  expect(lines.join("")).toMatch(
    /^Reading the model +0\.\d s\ngsic: warning: a tensor is constant\nPacking +0\.\d s\n$/,
  );
});
