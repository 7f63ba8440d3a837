import xxhash from "xxhash-wasm";

/** One section of a .gsi file. */
export interface Section {
  readonly name: string;
  readonly payload: Uint8Array;
}

const headerBytes = 32;
const entryBytes = 64;
const roundUp = (size: number): number => Math.ceil(size / 4096) * 4096;

/** A .gsi file, as `runtime/src/bundle.h` describes it. */
export async function writeBundle(sections: readonly Section[]): Promise<Uint8Array> {
  const { h64Raw } = await xxhash();
  const offsets: number[] = [];
  let end = headerBytes + entryBytes * sections.length;
  for (const section of sections) {
    offsets.push(roundUp(end));
    end = roundUp(end) + section.payload.length;
  }
  const file = new Uint8Array(roundUp(end));
  const view = new DataView(file.buffer);
  file.set([0x47, 0x53, 0x49, 0x43, 0x1a, 0x0a, 0x00, 0x01]);
  view.setUint32(8, 1, true);
  view.setUint32(12, sections.length, true);
  view.setBigUint64(16, BigInt(file.length), true);
  sections.forEach((section, i) => {
    const at = headerBytes + entryBytes * i;
    file.set(new TextEncoder().encode(section.name), at);
    view.setBigUint64(at + 32, BigInt(offsets[i]!), true);
    view.setBigUint64(at + 40, BigInt(section.payload.length), true);
    view.setBigUint64(at + 48, h64Raw(section.payload), true);
    file.set(section.payload, offsets[i]!);
  });
  const table = file.subarray(headerBytes, headerBytes + entryBytes * sections.length);
  view.setBigUint64(24, h64Raw(table), true);
  return file;
}

export const vocabulary = 40;
export const context = 64;
const cacheBlock = 4;
const width = 8;
const stride = 32;

/** table[t][i] = ((7 t + 3 i) mod 11 - 5) / 8: exact in f32, as is every sum that the test kernels make of it. */
export const table = (token: number, i: number): number => (((7 * token + 3 * i) % 11) - 5) / 8;

export function testWeights(): Uint8Array {
  const values = Float32Array.from({ length: vocabulary * width }, (_, n) =>
    table(Math.floor(n / width), n % width),
  );
  return new Uint8Array(values.buffer);
}

/** The manifest of the model in kernels.cpp: modes exact, and bounded, which also counts tokens. */
export function testManifest(): Record<string, unknown> {
  const sizes: Readonly<Record<string, number>> = {
    step: 272,
    weights: vocabulary * width * 4,
    arena: 16 * stride * 4,
    cache: cacheBlock * width * 4,
    counters: 16,
  };
  const at = (buffer: string, offset = 0, bytes = sizes[buffer]!) => ({ buffer, offset, bytes });
  const x = at("arena");
  const y = at("arena", 16 * stride * 4);
  const logits = at("arena", 2 * 16 * stride * 4, 16 * 64 * 4);
  const body = [
    { kernel: 0, arguments: [at("step"), at("weights"), x] },
    { kernel: 1, arguments: [at("step"), x, at("cache"), y] },
  ];
  const count = { kernel: 2, arguments: [at("step"), at("counters")] };
  const head = [{ kernel: 3, arguments: [at("step"), at("weights"), y, logits] }];
  const shared = {
    head,
    logits: { offset: logits.offset, stride: 64 },
    greedy: null,
    linears: [],
    taps: [
      { value: "x", after: 0, offset: x.offset, width, stride },
      { value: "y", after: 1, offset: y.offset, width, stride },
    ],
  };
  const cpu = { device: "cpu", architecture: "any", section: "code", code: null };
  const kernel = (symbol: string, ...names: string[]) => ({
    symbol,
    arguments: names.map((name) => ({ name, type: "float *" })),
    launch: null,
  });
  return {
    format: 2,
    abi: 2,
    name: "test-model",
    family: "test",
    vocabulary,
    context,
    columns: 16,
    cacheBlock,
    cacheBytesPerToken: width * 4,
    tablePositions: context,
    buffers: {
      weights: vocabulary * width * 4,
      arena: 2 * 16 * stride * 4 + 16 * 64 * 4,
      cache: cacheBlock * width * 4,
      step: 272,
      counters: 16,
    },
    targets: [
      { name: "cpu-impossible", ...cpu, features: ["no-such-feature"] },
      { name: "cpu-portable", ...cpu, features: [] },
    ],
    kernels: [
      kernel("test_embed", "step", "table", "x"),
      kernel("test_mix", "step", "x", "cache", "y"),
      kernel("test_count", "step", "counters"),
      kernel("test_head", "step", "table", "y", "logits"),
      kernel("test_nan", "step", "logits"),
    ],
    modes: ["exact", "bounded"],
    defaultMode: "bounded",
    programs: {
      exact: { body, ...shared, gates: [] },
      bounded: { body: [...body, count], ...shared, gates: ["x"] },
    },
    drafting: {},
    bytesPerToken: { exact: 1280, bounded: 1280 },
  };
}

/** The bundle of the test model around compiled kernels; `change` may spoil the manifest. */
export function testBundle(
  code: Uint8Array,
  change: (manifest: Record<string, unknown>) => void = () => {},
): Promise<Uint8Array> {
  const manifest = testManifest();
  change(manifest);
  return writeBundle([
    { name: "manifest", payload: new TextEncoder().encode(JSON.stringify(manifest)) },
    { name: "weights", payload: testWeights() },
    { name: "code", payload: code },
  ]);
}

// biome-ignore lint/suspicious/noExplicitAny: a manifest is JSON
type Json = any;

/**
 * Adds modes: rough, whose logits differ behind a third of the tokens, and lossless, which drafts with rough and
 * verifies with exact.
 */
export function addDrafting(manifest: Json): void {
  const { kernels, modes, programs, bytesPerToken } = manifest;
  const { exact } = programs;
  const [multiply, ...rest] = exact.head;
  const [step, , , logits] = multiply.arguments;
  // A GPU's manifest has the kernel already, since each needs a code object.
  if (!kernels.some(({ symbol }: Json) => symbol === "test_skew"))
    kernels.push({ ...kernels[4], symbol: "test_skew" });
  const kernel = kernels.findIndex(({ symbol }: Json) => symbol === "test_skew");
  programs.rough = { ...exact, head: [multiply, { kernel, arguments: [step, logits] }, ...rest] };
  bytesPerToken.rough = bytesPerToken.exact;
  modes.push("rough", "lossless");
  manifest.drafting = { lossless: { draft: "rough", verify: "exact" } };
}
