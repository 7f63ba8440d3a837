import { testManifest, testWeights, writeBundle } from "./bundle.js";

/** The device of a target, and what tells its code objects from others. */
export interface GpuTarget {
  readonly device: "hip" | "cuda";
  readonly architecture: string;
  /** Of AMD's code objects; default 5. */
  readonly version?: number;
}

const machines: Readonly<Record<string, number>> = { gfx90a: 0x3f, gfx942: 0x4c, gfx950: 0x4f };

/** The header of an ELF file for an AMD GPU, and nothing else: all that the mock driver looks at. */
function fakeElf({ architecture, version = 5 }: GpuTarget): Uint8Array {
  const header = new Uint8Array(64);
  const view = new DataView(header.buffer);
  header.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 64, version - 2]);
  view.setUint16(16, 3, true);
  view.setUint16(18, 224, true);
  view.setUint32(48, machines[architecture]!, true);
  view.setUint16(52, 64, true);
  return header;
}

/** PTX that declares a kernel, with its closing NUL. */
const fakePtx = (architecture: string, symbol: string): Uint8Array =>
  new TextEncoder().encode(
    `.version 8.0\n.target ${architecture}\n.visible .entry ${symbol}()\n{\nret;\n}\n\0`,
  );

// biome-ignore lint/suspicious/noExplicitAny: a manifest that tests change in every way
export type GpuManifest = Record<string, any>;

const arguments_: Readonly<Record<string, readonly string[]>> = {
  test_embed: ["step", "table", "x"],
  test_mix: ["step", "x", "cache", "y"],
  test_count: ["step", "counters"],
  test_head: ["step", "table", "y", "logits"],
  test_nan: ["step", "logits"],
  test_choose: ["step", "logits", "chosen"],
  test_beyond: ["step", "table"],
  test_skew: ["step", "logits"],
};

/**
 * The test model of bundle.ts for GPUs: kernels of gpu_kernels.cpp, code objects that only the mock driver takes,
 * and a kernel that chooses. `change` may spoil the manifest; `weights` may be more than the model's.
 */
export function gpuBundle(
  targets: readonly GpuTarget[],
  change: (manifest: GpuManifest) => void = () => {},
  weights: Uint8Array = testWeights(),
): Promise<Uint8Array> {
  const manifest: GpuManifest = testManifest();
  const chosen = { buffer: "arena", offset: manifest.buffers.arena, bytes: 16 * 16 };
  manifest.buffers.arena += 16 * 16;
  const logits = { buffer: "arena", offset: manifest.programs.exact.logits.offset, bytes: 4096 };
  for (const program of Object.values<GpuManifest>(manifest.programs)) {
    program.head = [
      ...program.head,
      { kernel: 5, arguments: [{ buffer: "step", offset: 0, bytes: 272 }, logits, chosen] },
    ];
    program.greedy = { offset: chosen.offset };
  }
  const symbols = Object.keys(arguments_);
  manifest.kernels = symbols.map((symbol, i) => ({
    symbol,
    arguments: arguments_[symbol]!.map((name) => ({ name, type: "float" })),
    launch: { threads: 64, lds: 1024, maxWorkgroups: 1 + 3 * i, perUnit: 1 + (i % 2) },
  }));
  const sections = targets.map((described, i) => {
    const { device, architecture } = described;
    const objects = symbols.map((symbol) =>
      device === "hip" ? fakeElf(described) : fakePtx(architecture, symbol),
    );
    const payload = new Uint8Array(4096 * objects.length);
    const code = objects.map((object, k) => {
      payload.set(object, 4096 * k);
      return { offset: 4096 * k, bytes: object.length };
    });
    return { name: `code:${i}`, payload, target: { device, architecture, code } };
  });
  manifest.targets = sections.map(({ name, target }) => ({
    name: target.architecture,
    ...target,
    features: [],
    section: name,
  }));
  // Modes share objects in the manifest: a change must meet one of them only.
  const copy = JSON.parse(JSON.stringify(manifest)) as GpuManifest;
  change(copy);
  return writeBundle([
    { name: "manifest", payload: new TextEncoder().encode(JSON.stringify(copy)) },
    { name: "weights", payload: weights },
    ...sections,
  ]);
}
