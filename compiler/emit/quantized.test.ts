import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { CpuTarget } from "../config/target.js";
import { bitWidths, type Quantizer } from "../ir/plan.js";
import { skipOtherTargets, temporaryFolder, testTargets } from "../testing/fixtures.js";
import { gaussian } from "../testing/kernels.js";
import {
  oracle,
  packedCase,
  productKernel,
  type QuantizedCase,
  type QuantizedShape,
  randomCase,
  runKernel,
  testLibrary,
} from "../testing/quantized.js";

const largestFloat = 2 ** 128 - 2 ** 103;

/** Shapes that are multiples of nothing, or of a tile and a group. */
const sizes = [
  { out: 5, d: 17, rank: 4 },
  { out: 33, d: 100, rank: 20 },
  { out: 1, d: 1, rank: 0 },
  { out: 16, d: 128, rank: 16 },
  { out: 40, d: 333, rank: 0 },
  { out: 19, d: 64, rank: 36 },
  { out: 7, d: 259, rank: 0 },
] as const;

/** Every quantizer, on one of the shapes. */
const shapes: readonly QuantizedShape[] = bitWidths
  .flatMap((bits) => ([32, 64, 128] as const).map((group) => ({ bits, group })))
  .flatMap((half) => [true, false].map((symmetric) => ({ ...half, symmetric })))
  .map((quantizer, i) => ({ ...sizes[i % sizes.length]!, quantizer }));

/** Fewer, for the targets that are only compared with the best: each number of bits, either kind of zero. */
const fewShapes = shapes.filter((_, i) => i % 3 === 1);

const quantizerName = ({ bits, group, symmetric }: Quantizer) =>
  `int${bits} in groups of ${group}${symmetric ? "" : " with zeros"}`;
const symbolOf = ({ quantizer: { bits, group, symmetric } }: QuantizedShape) =>
  `product_${bits}_${group}_${symmetric ? "symmetric" : "zeros"}`;
const shapeName = (shape: QuantizedShape) =>
  `[${shape.out}, ${shape.d}], ${quantizerName(shape.quantizer)}, rank ${shape.rank}`;

/** 21 columns: of every size that f32 has, with an outlier, with blocks of sizes that differ, then ordinary ones. */
function hardColumns(d: number): Float32Array {
  const random = gaussian(99);
  const scales = [1, 0, 1e-41, 1e30, 1e-30, 1e4];
  return Float32Array.from({ length: 21 * d }, (_, i) => {
    const [token, column] = [Math.floor(i / d), i % d];
    const value = random() * (scales[token] ?? 1);
    if (token === 6) return column === Math.floor(d / 2) ? 1e6 : value;
    if (token === 7) return value * 10 ** ((Math.floor(column / 32) * 17) % 60);
    return value;
  });
}

const [best, ...others] = (await testTargets()) as [CpuTarget, ...CpuTarget[]];

await skipOtherTargets();

/** By target: the library of all shapes' kernels, of the fewer ones for targets other than the best. */
const libraries = new Map<string, string>();
let folder = "";

/** Fifty kernels are compiled, which takes a minute of one idle core. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "gsic-test-"));
  for (const target of [best, ...others]) {
    const kernels = (target === best ? shapes : fewShapes).map((shape) =>
      productKernel(symbolOf(shape), shape),
    );
    libraries.set(target.name, await testLibrary(kernels, target, folder));
  }
}, 900_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

async function product(
  of: QuantizedCase,
  target: CpuTarget,
  x: Float32Array,
  more = {},
): Promise<Float32Array> {
  const { out, d } = of.shape;
  const job = {
    library: libraries.get(target.name)!,
    symbol: symbolOf(of.shape),
    out,
    d,
    x,
    weights: packedCase(of),
  };
  return runKernel({ ...job, ...more });
}

const caseOf = (shape: QuantizedShape) =>
  randomCase(shape, shape.out * 1000 + shape.d + shape.quantizer.bits);

/** Every column's products within the oracle's bounds. */
function expectClose(of: QuantizedCase, x: Float32Array, found: Float32Array, name: string): void {
  const { out, d } = of.shape;
  expect(found).toHaveLength((x.length / d) * out);
  for (let token = 0; token < x.length / d; token++) {
    for (const [row, { value, bound }] of oracle(of, x.subarray(token * d, (token + 1) * d)).entries()) {
      const y = found[token * out + row]!;
      const where = `${name}: token ${token}, row ${row}: ${y} instead of ${value}`;
      if (Math.abs(value) - bound > largestFloat) expect(y, where).toBe(Math.sign(value) * Infinity);
      else if (Math.abs(value) + bound <= largestFloat)
        expect(Math.abs(y - value), where).toBeLessThanOrEqual(bound);
    }
  }
}

describe("y = Q x + A (B^T x) is right", () => {
  for (const shape of shapes) {
    test(shapeName(shape), async () => {
      const of = caseOf(shape);
      const x = hardColumns(shape.d);
      expectClose(of, x, await product(of, best, x), best.name);
    });
  }
});

test("any finite activations are right", async () => {
  const of = caseOf(shapes.find(({ out, quantizer }) => out === 7 && !quantizer.symmetric)!);
  const { d } = of.shape;
  const columns = fc.float32Array({
    minLength: 4 * d,
    maxLength: 4 * d,
    noNaN: true,
    noDefaultInfinity: true,
  });
  await fc.assert(
    fc.asyncProperty(columns, async (x) => expectClose(of, x, await product(of, best, x), best.name)),
    { numRuns: 25 },
  );
});

describe("results do not depend on how columns are cut into passes, nor on the workers", () => {
  for (const target of [best, ...others]) {
    test(target.name, async () => {
      for (const shape of fewShapes) {
        const of = caseOf(shape);
        const x = hardColumns(shape.d);
        const expected = await product(of, target, x, { chunks: [1] });
        for (const [workers, chunks] of [
          [2, [16]],
          [5, [3, 5, 7, 1, 2, 3]],
          [3, [13, 8]],
        ] as const) {
          const found = await product(of, target, x, { workers, chunks });
          expect(found, `${shapeName(shape)}: ${workers} workers, passes of ${chunks}`).toEqual(expected);
        }
      }
    });
  }
});

for (const target of others) {
  test(`${target.name} agrees with ${best.name}`, async () => {
    for (const shape of fewShapes) {
      const of = caseOf(shape);
      const x = hardColumns(shape.d);
      const found = await product(of, target, x);
      // Without a fused multiply-add products are rounded once more.
      if (target.features.includes("fma"))
        expect(found, shapeName(shape)).toEqual(await product(of, best, x));
      else expectClose(of, x, found, target.name);
    }
  });
}

test("an activation that is not finite makes its own column not finite, and no other", async () => {
  for (const target of [best, ...others]) {
    for (const shape of fewShapes) {
      const of = caseOf(shape);
      const { out, d } = shape;
      const x = hardColumns(d).slice(8 * d, 14 * d);
      const clean = await product(of, target, x);
      const marked = x.slice();
      for (const [token, value] of [
        [1, NaN],
        [2, Infinity],
        [4, -Infinity],
      ] as const)
        marked[token * d + ((token * 31) % d)] = value;
      const found = await product(of, target, marked);
      found.forEach((y, i) => {
        const token = Math.floor(i / out);
        if ([1, 2, 4].includes(token)) expect(Number.isFinite(y), `${target.name}: ${y}`).toBe(false);
        else expect(y).toBe(clean[i]);
      });
    }
  }
});

test("the largest numbers neither overflow nor wrap around", async () => {
  const shape = fewShapes.find(({ quantizer: { bits, symmetric } }) => bits === 8 && !symmetric)!;
  const { out, d } = shape;
  const groups = out * Math.ceil(d / shape.quantizer.group);
  const rowScales = new Float32Array(out).fill(1e-12);
  const x = new Float32Array(2 * d).fill(largestFloat, 0, d).fill(-largestFloat, d);
  for (const [q, zero] of [
    [255, 0],
    [0, 255],
  ] as const) {
    const matrix = {
      q: new Uint8Array(out * d).fill(q),
      scales: new Int8Array(groups).fill(-128),
      zeros: new Uint8Array(groups).fill(zero),
      rowScales,
    };
    const of = { ...caseOf(shape), matrix };
    for (const target of [best, ...others]) expectClose(of, x, await product(of, target, x), target.name);
  }
});

test("a pair of matrices of different bits shares one input", async () => {
  const shape = { out: 21, d: 96, rank: 8, quantizer: { bits: 4, group: 32, symmetric: true } } as const;
  const gate = randomCase(shape, 1);
  const up = {
    ...randomCase({ ...shape, quantizer: { bits: 5, group: 64, symmetric: false } }, 2),
    correction: gate.correction,
  };
  const x = hardColumns(shape.d).slice(8 * shape.d);
  const weights = [...packedCase(gate), packedCase(up)[0]!];
  const kernels = [
    productKernel("gate", shape),
    productKernel("up", up.shape),
    productKernel("pair", shape, up.shape.quantizer),
  ];
  for (const target of [best, ...others]) {
    const job = {
      library: await testLibrary(kernels, target, await temporaryFolder()),
      out: shape.out,
      d: shape.d,
      x,
    };
    const first = await runKernel({ ...job, symbol: "gate", weights });
    const second = await runKernel({ ...job, symbol: "up", weights: packedCase(up) });
    const both = await runKernel({ ...job, symbol: "pair", weights, workers: 2, chunks: [5, 3] });
    expect(both).toEqual(first.map((value, i) => Math.fround(value + 2 * second[i]!)));
  }
});
