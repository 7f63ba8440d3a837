import { readFile } from "node:fs/promises";
import type { Kernel } from "../ir/program.js";
import { buildRuntime, compileSimulation } from "./index.js";
import { runnableTargets } from "./machine.js";
import type { SimulationOptions } from "./simulation.js";

/** Bytes of global memory that one kernel's launches moved, as the mock driver counts them. */
export interface KernelTraffic {
  readonly symbol: string;
  readonly launches: number;
  /** In the order of the kernel's arguments. */
  readonly arguments: readonly { readonly loaded: number; readonly stored: number }[];
}

/**
 * The environment in which a runtime finds, in place of a GPU's driver, one that runs the kernels on this machine's
 * CPU (runtime/mock-driver), and writes what they read and wrote to the file `account` when it ends.
 */
export async function mockDriverEnvironment(
  kernels: readonly Kernel[],
  wave: number,
  options: SimulationOptions = {},
): Promise<(account: string) => Readonly<Record<string, string>>> {
  const GSIC_DRIVER = await buildRuntime("mock-driver");
  const [target] = await runnableTargets();
  const GSIC_MOCK_KERNELS = await compileSimulation(kernels, wave, target!, options);
  return (account) => ({ GSIC_DRIVER, GSIC_MOCK_KERNELS, GSIC_MOCK_ACCOUNT: account });
}

/** Reads what the mock driver counted. */
export async function readTraffic(account: string): Promise<readonly KernelTraffic[]> {
  const { kernels } = JSON.parse(await readFile(account, "utf8")) as { kernels: KernelTraffic[] };
  return kernels;
}
