/** Helpers of the tests of GPU kernels: bundles whose kernels the mock driver simulates, and runs of them. */

import { join } from "node:path";
import type { GpuDevice } from "../cc/index.js";
import { type KernelTraffic, mockDriverEnvironment, readTraffic } from "../cc/mock-driver.js";
import type { GpuShape, GpuTarget } from "../config/target.js";
import type { Plan } from "../ir/plan.js";
import type { Kernel, Mode, ProgramMode } from "../ir/program.js";
import type { Model } from "../models/model.js";
import { writeModelBundle } from "../pack/assemble.js";
import type { FactorSource } from "../pack/weights.js";
import { makePlan } from "../passes/index.js";
import type { ConfiguredForm } from "../passes/pass.js";
import { type Schedule, schedule } from "../schedule/program.js";
import { type BundleContents, temporaryFolder } from "./fixtures.js";
import { gpuTarget } from "./gpu.js";
import { feed, generate } from "./kernels.js";

/** Waves of 64 lanes with matrix cores, and of 32 lanes without. */
export const mi300x = gpuTarget("mi300x");
export const h200 = gpuTarget("h200");

/** `kMatrixCores` in templates/include/gsic/dialect. */
export const hasMatrixCores = ({ gpu }: GpuTarget): boolean => gpu.wave === 64;

/** A target with another shape, by which kernels are divided otherwise. */
export function shapedAs(target: GpuTarget, shape: Partial<GpuShape>): GpuTarget {
  return { ...target, gpu: { ...target.gpu, ...shape } };
}

/** The header of an ELF file for gfx942, and nothing else: all that the mock driver looks at. */
function headerOnly(): Uint8Array {
  const header = new Uint8Array(64);
  const view = new DataView(header.buffer);
  header.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 64]);
  view.setUint16(16, 3, true);
  view.setUint16(18, 224, true);
  view.setUint32(48, 0x4c, true);
  view.setUint16(52, 64, true);
  return header;
}

/** A code object that only the mock driver takes, which runs the kernel that was compiled for this machine. */
function objectOf({ symbol }: Kernel, { device, architecture }: GpuTarget) {
  const text = `.version 8.0\n.target ${architecture}\n.visible .entry ${symbol}()\n{\nret;\n}\n\0`;
  const bytes = { hip: headerOnly(), cuda: new TextEncoder().encode(text) } satisfies Record<
    GpuDevice,
    Uint8Array
  >;
  return { bytes: bytes[device], resources: null };
}

/** A bundle, and what runs it. */
export interface Simulated {
  readonly bundle: string;
  readonly scheduled: Schedule;
  readonly target: GpuTarget;
  /** The environment of a run that leaves its account in a file. */
  readonly environment: (account: string) => Readonly<Record<string, string>>;
}

/** Writes a model's bundle for a GPU, and compiles its kernels for this machine. */
export async function simulatedBundle(
  model: Model,
  options: ConfiguredForm,
  modes: readonly ProgramMode[],
  factors: FactorSource,
  target: GpuTarget,
  holding: BundleContents = {},
): Promise<Simulated> {
  const plan = makePlan(model.graph, { options, device: target.device });
  return simulatedPlan(model, plan, modes, factors, target, holding);
}

/** The same, of a plan whose forms no options describe. */
export async function simulatedPlan(
  model: Model,
  plan: Plan,
  modes: readonly Mode[],
  factors: FactorSource,
  target: GpuTarget,
  holding: BundleContents = {},
): Promise<Simulated> {
  const programs = modes.filter((mode) => mode !== "lossless");
  const scheduled = schedule(plan, programs, target, holding);
  const { kernels, weights } = scheduled;
  const environment = await mockDriverEnvironment(kernels, target.gpu.wave, { weightBytes: weights.bytes });
  const bundle = join(await temporaryFolder(), "model.gsi");
  const objects = kernels.map((kernel) => objectOf(kernel, target));
  const code = [{ kind: "objects" as const, target, objects }];
  await writeModelBundle(bundle, { model, plan, schedule: scheduled, modes, code, factors });
  return { bundle, scheduled, target, environment };
}

/** How tokens are fed to simulated kernels. */
export interface SimulatedFeeding {
  readonly mode?: Mode;
  /** Tokens per pass, over and over. */
  readonly chunks?: readonly number[];
  readonly logits?: boolean;
  /** Compute units that the device has; its workgroups follow from them. */
  readonly units?: number;
  /** Lanes and workgroups run in the other order. */
  readonly backward?: boolean;
}

/** Logits, tokens per tier, and what each kernel loaded and stored. */
export interface SimulatedResult {
  readonly logits: Float32Array;
  readonly fast: number;
  readonly slow: number;
  readonly traffic: readonly KernelTraffic[];
}

/** Evaluates tokens on simulated lanes. */
export async function feedSimulated(
  { bundle, target, environment }: Simulated,
  ids: readonly number[],
  { mode = "exact", units = 2, backward = false, ...how }: SimulatedFeeding = {},
): Promise<SimulatedResult> {
  const account = join(await temporaryFolder(), "account.json");
  const order = backward ? { GSIC_SIMULATION_BACKWARD: "1" } : {};
  const variables = { ...environment(account), ...order, GSIC_MOCK_UNITS: String(units) };
  const found = await feed(bundle, ids, { target, mode, ...how, environment: variables });
  return { ...found, traffic: await readTraffic(account) };
}

/** The most likely tokens after a prompt, chosen on simulated lanes. */
export async function generateSimulated(
  { bundle, target, environment }: Simulated,
  prompt: readonly number[],
  limit: number,
  mode: Mode = "exact",
): Promise<number[]> {
  const account = join(await temporaryFolder(), "account.json");
  return generate(bundle, prompt, limit, { target, mode, environment: environment(account) });
}
