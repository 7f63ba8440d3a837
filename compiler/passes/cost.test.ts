import { expect, test } from "vitest";
import { readTarget } from "../config/targets.js";
import { gpuTarget } from "../testing/gpu.js";
import { bytesWithIssue } from "./cost.js";

test("what takes longer to multiply than to read counts as what is read meanwhile", () => {
  const weights = 4096 * 4096;
  const mi300x = gpuTarget("mi300x");
  const slow = { ...mi300x, gpu: { ...mi300x.gpu, instructions: new Map([["int3", 6]]) } };
  const bytes = (weights * 3.25) / 8;
  // 6 instructions, 64 lanes, 4 clocks each, 304 units of 4 SIMDs at 2.1 GHz; 4.1e12 bytes a second.
  expect(bytesWithIssue(bytes, "int3", weights, slow)).toBeCloseTo(
    (((weights / 64) * 6 * 4) / (304 * 4) / 2.1e9) * 4.1e12,
    3,
  );
  expect(bytesWithIssue(bytes, "int4", weights, slow)).toBe(bytes);
  // As the kernels are now, three bits are read longer than they are multiplied.
  expect(bytesWithIssue(bytes, "int3", weights, mi300x)).toBe(bytes);
  expect(bytesWithIssue(bytes, "int3", weights, readTarget("cpu-avx2"))).toBe(bytes);
});
