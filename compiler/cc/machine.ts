/** What the runtime finds on this machine, and so which targets run here: the choice is the runtime's own. */

import type { CpuTarget, Target } from "../config/target.js";
import { machineTargets, targetsOf } from "../config/targets.js";
import type { GpuDevice } from "./gpu-devices.js";
import { runTool } from "./tool.js";

/** What `gsic-tool machine` prints. */
interface Machine {
  readonly cpu: Cpu;
  readonly gpus: readonly {
    readonly device: GpuDevice;
    readonly name?: string;
    readonly units?: number;
    readonly problem?: string;
    /** What to do about the problem, where the runtime knows. */
    readonly hint?: string;
  }[];
}

/** What `gsic-tool cpu` prints. */
interface Cpu {
  /** What targets may ask for, less what the variable GSIC_CPU hides. */
  readonly features: readonly string[];
  /** The value of GSIC_CPU; null if it is not set. */
  readonly mask: string | null;
}

/** A CPU target, and why it does not run here; null if it does. */
interface Runnable {
  readonly target: CpuTarget;
  readonly problem: string | null;
}

/** The CPU and the GPUs that the runtime finds. Throws `argument-invalid` (category usage) for a wrong GSIC_CPU. */
export async function readMachine(): Promise<Machine> {
  return JSON.parse(await runTool(["machine"])) as Machine;
}

/** What the tool said of the CPU, by the value of GSIC_CPU. */
const cpus = new Map<string | undefined, Cpu>();

/** The CPU alone, without a look at drivers; asked once. Throws as `readMachine`. */
async function readCpu(): Promise<Cpu> {
  const { GSIC_CPU } = process.env;
  const cpu = cpus.get(GSIC_CPU) ?? (JSON.parse(await runTool(["cpu"])) as Cpu);
  cpus.set(GSIC_CPU, cpu);
  return cpu;
}

/** The CPU targets of this machine's architecture, best first, and which of them run here. Throws as `readMachine`. */
export async function targetsHere(): Promise<Runnable[]> {
  const { features, mask } = await readCpu();
  return machineTargets().map((target) => {
    const lacking = target.features.find((feature) => !features.includes(feature));
    if (lacking === undefined) return { target, problem: null };
    const by = mask === null ? "this machine has" : `GSIC_CPU=${mask} leaves`;
    return { target, problem: `${by} no ${lacking}` };
  });
}

/** The CPU targets that this machine runs, best first; the portable one always does. Throws as `readMachine`. */
export async function runnableTargets(): Promise<CpuTarget[]> {
  return (await targetsHere()).filter(({ problem }) => problem === null).map(({ target }) => target);
}

/**
 * The targets of those names; where none are named, the best CPU target that runs here, since kernels for other machines
 * take as long to compile as those for this one. Throws as `targetsOf` and `readMachine`.
 */
export async function targetsFor(names: readonly string[] | null): Promise<readonly Target[]> {
  return names === null ? [(await runnableTargets())[0]!] : targetsOf(names);
}

/**
 * The target that statistics are collected on and plans are measured with: the best of a build's own that runs here,
 * else the best that runs here, since a GPU's device need not be here. Throws as `readMachine`.
 */
export async function calibrationTarget(targets: readonly Target[]): Promise<CpuTarget> {
  const here = await runnableTargets();
  return here.find(({ name }) => targets.some((target) => target.name === name)) ?? here[0]!;
}
