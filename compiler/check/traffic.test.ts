import { expect, test } from "vitest";
import type { MatrixRef } from "../ir/graph.js";
import type { WeightSource } from "../ir/steps.js";
import type { Schedule } from "../schedule/program.js";
import { kernel } from "../testing/gpu.js";
import { weightReads } from "./traffic.js";

const matrix: MatrixRef = { tensor: "w", dtype: "bf16", out: 64, d: 64, transposed: false, first: 0 };
const stored: WeightSource = { kind: "stored", matrix };
const image: WeightSource = { kind: "image", linear: "y", out: 64, k: 8 };
const basis: WeightSource = { kind: "basis", input: "x", k: 8, d: 64 };
const sources = [
  stored,
  { kind: "stacked", parts: [stored, stored] },
  { kind: "stacked", parts: [image, image] },
  basis,
] as const;
const sizes = [1000, 2000, 100, 50];
const offsets = [0, 4096, 8192, 12288];

const at = (buffer: "weights" | "arena", offset: number) => ({ buffer, offset, bytes: 1 });
const scheduled = {
  kernels: [
    { ...kernel("look_up", ""), template: "embed" },
    { ...kernel("dense", ""), template: "project" },
    { ...kernel("basis", ""), template: "project" },
    { ...kernel("gated", ""), template: "project" },
  ],
  weights: {
    items: sources.map((source, index) => ({
      content: { kind: "matrix" as const, source },
      offset: offsets[index]!,
      bytes: sizes[index]!,
    })),
  },
  programs: {
    exact: {
      body: [
        { kernel: 0, arguments: [at("weights", 0)] },
        { kernel: 1, arguments: [at("arena", 0), at("weights", 4096)] },
        { kernel: 2, arguments: [at("arena", 0), at("weights", 12288)] },
        { kernel: 3, arguments: [at("weights", 4096), at("weights", 8192), at("weights", 12288)] },
      ],
      head: [],
    },
  },
} as unknown as Schedule;

const moved = (...loaded: number[]) => loaded.map((bytes) => ({ loaded: bytes, stored: 0 }));

test("what a simulation read is compared with the packed sizes of the tiers that ran", () => {
  const reads = weightReads(scheduled, "exact", [
    { symbol: "look_up", launches: 4, arguments: moved(8) },
    { symbol: "dense", launches: 4, arguments: moved(4096, 8400) },
    { symbol: "basis", launches: 4, arguments: moved(4096, 200) },
    // One launch with its gate open, three with it closed; the basis decided none.
    { symbol: "gated", launches: 4, arguments: moved(2000, 300, 0) },
  ]);
  expect(reads).toEqual({
    kernels: [
      { symbol: "dense", launches: 4, predicted_bytes: 2000, simulated_bytes: 2100 },
      { symbol: "basis", launches: 4, predicted_bytes: 50, simulated_bytes: 50 },
      { symbol: "gated", launches: 4, predicted_bytes: 575, simulated_bytes: 575 },
    ],
    predicted_bytes: 10500,
    simulated_bytes: 10900,
    ratio: 10900 / 10500,
  });
});

test("a dense kernel that skips part of its weights is found", () => {
  const traffic = [{ symbol: "dense", launches: 1, arguments: moved(0, 1000) }];
  expect(weightReads(scheduled, "exact", traffic).ratio).toBe(0.5);
});
