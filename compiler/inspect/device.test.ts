import { expect, test } from "vitest";
import type { Report } from "../report/report.js";
import type { ResourceFacts } from "../report/resources.js";
import { deviceText } from "./device.js";

const facts: ResourceFacts = {
  vgprs: 96,
  agprs: 0,
  sgprs: 38,
  lds: 32768,
  occupancy: 5,
  scratch: 0,
  vgprSpills: 0,
  sgprSpills: 0,
};
const launch = { threads: 1024, lds: 32768, maxWorkgroups: 288, perUnit: 1 };
const long = `gsic_${"gated_unit_".repeat(5)}_k256`;
const prediction = (memory: number) => ({ memory, launches: 4.5e-6, steps: 4e-4, total: memory + 4.045e-4 });

const report = {
  device: "hip",
  targets: ["mi300x", "mi250x"],
  modes: ["bounded", "exact"],
  bytes_per_token: { dense: 3, fast: 1, slow: 4 },
  launches_per_token: { bounded: 163, exact: 153 },
  launches_per_layer: { bounded: 5.333, exact: 5 },
  prediction: { dense: prediction(6.561e-5), fast: prediction(3e-5), slow: prediction(7e-5) },
  kernels: [
    {
      symbol: "gsic_embed_576",
      summary: "",
      launch: { ...launch, maxWorkgroups: 16 },
      resources: { mi300x: facts, mi250x: facts },
    },
    {
      symbol: long,
      summary: "",
      launch,
      resources: { mi300x: { ...facts, sgprSpills: 12 }, mi250x: { ...facts, agprs: 64 } },
    },
  ],
} as unknown as Report;

test("a GPU build fits a terminal, with what each kernel takes of the device", () => {
  const text = deviceText(report);
  expect(Math.max(...text.split("\n").map((line) => line.length))).toBeLessThanOrEqual(100);
  expect(text).toMatchInlineSnapshot(`
    "Launches: 163 a token, 5.3 a layer, in bounded mode; 153 a token, 5 a layer, in exact mode.
    Predicted on mi300x: 0.47 ms a token, dense (0.0656 ms to read weights, 0.0045 ms to launch, 0.4 ms
    between kernels); 0.435 ms with every gate closed (0.03 ms to read weights, 0.0045 ms to launch, 0.4
    ms between kernels); 0.474 ms with every gate open.

    Kernels for mi300x
      kernel                                    groups  a unit  threads    LDS  VGPRs  SGPRs  waves/SIMD
      ----------------------------------------  ------  ------  -------  -----  -----  -----  ----------
      gsic_embed_576                                16       1     1024  32768     96     38           5
      gsic_gated_unit_gated_unit_gated_unit...     288       1     1024  32768     96     38           5
    gsic_gated_unit_gated_unit_gated_unit_gated_unit_gated_unit__k256: 12 scalar registers kept in lanes
    of vector registers

    Kernels for mi250x
      kernel                             groups  a unit  threads    LDS  VGPRs  AGPRs  SGPRs  waves/SIMD
      ---------------------------------  ------  ------  -------  -----  -----  -----  -----  ----------
      gsic_embed_576                         16       1     1024  32768     96      0     38           5
      gsic_gated_unit_gated_unit_gat...     288       1     1024  32768     96     64     38           5"
  `);
});

test("a plan without gates has one prediction", () => {
  const bytes = { dense: 3, fast: 1, slow: 1 };
  const text = deviceText({ ...report, bytes_per_token: bytes } as Report).replaceAll("\n", " ");
  expect(text).toContain("; 0.435 ms in this plan (0.03 ms to read weights");
  expect(text).not.toContain("gate open");
});

test("PTX has no registers yet", () => {
  const kernels = report.kernels.map((kernel) => ({ ...kernel, resources: {} }));
  const text = deviceText({ ...report, device: "cuda", targets: ["h200"], kernels } as Report);
  expect(text).toContain("PTX: the driver assigns registers when it loads the model.");
  expect(text).toMatch(/gsic_embed_576 .* -$/m);
});
