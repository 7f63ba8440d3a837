import { expect, test } from "vitest";
import { spacedWindows } from "./samples.js";

const ids = Int32Array.from({ length: 23 }, (_, i) => i);

test("a sample of windows is spaced evenly, and is the whole text where that is short", () => {
  const window = 4;
  expect([...spacedWindows({ ids, window }, 9)]).toEqual([0, 1, 2, 3, 12, 13, 14, 15]);
  expect([...spacedWindows({ ids, window }, 100)]).toEqual([...ids]);
  expect([...spacedWindows({ ids, window }, 1)]).toEqual([0, 1, 2, 3]);
});
