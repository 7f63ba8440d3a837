import { expect, test, vi } from "vitest";
import { duration, Estimate, terminalProgress } from "./progress.js";

test("the time left follows the speed of the last ten seconds", () => {
  const estimate = new Estimate();
  expect(estimate.secondsLeft(100)).toBe(null);
  estimate.add(0, 0);
  expect(estimate.secondsLeft(100)).toBe(null);
  // A fast beginning, as of what an earlier build had done, is forgotten.
  for (let time = 1; time <= 1000; time++) estimate.add(time, time * 100);
  for (let time = 1001; time <= 40_000; time++) estimate.add(time, 100_000 + (time - 1000));
  expect(estimate.secondsLeft(200_000)).toBeCloseTo((200_000 - 139_000) / 1000, 5);
});

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
