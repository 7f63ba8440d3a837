import { isAbsolute } from "node:path";
import { GsicError } from "../support/errors.js";
import { isCheckout } from "../support/paths.js";
import { execute } from "../support/process.js";
import { type CxxCompiler, clangVersion } from "./compilers.js";
import { type GpuDevice, gpuTools } from "./gpu-devices.js";

/** Before it, clang does not take all the flags that kernels are compiled with. */
const leastVersion = 17;
const newestVersion = 22;

const found = new Map<GpuDevice, Promise<CxxCompiler>>();

/**
 * A clang that compiles for a device: $GSIC_CLANG, or else ROCm's own, or else the newest that answers. Throws
 * `gpu-compiler-missing` (category environment).
 */
export function findGpuCompiler(device: GpuDevice): Promise<CxxCompiler> {
  const known = found.get(device) ?? probe(device, candidates());
  found.set(device, known);
  return known;
}

/** Where a clang may be, in the order in which they are asked. */
function candidates(): readonly string[] {
  if (process.env.GSIC_CLANG) return [process.env.GSIC_CLANG];
  const versions = Array.from({ length: newestVersion - leastVersion + 1 }, (_, i) => newestVersion - i);
  return ["/opt/rocm/llvm/bin/clang++", ...versions.map((version) => `clang++-${version}`), "clang++"];
}

/** The first of some commands that can compile for a device. */
export async function probe(device: GpuDevice, commands: readonly string[]): Promise<CxxCompiler> {
  const refused: string[] = [];
  for (const command of commands) {
    const version = await printed(command, "--version");
    if (version === null) continue;
    const problem = await problemOf(device, command, version);
    if (problem === null) return { command, version };
    refused.push(`${command} ${problem}`);
  }
  const tried = refused.length > 0 ? refused.join("; ") : `tried ${commands.join(", ")}`;
  throw new GsicError({
    category: "environment",
    code: "gpu-compiler-missing",
    message: `no clang on this machine compiles for ${gpuTools[device].vendor} GPUs: ${tried}`,
    hint: `${isCheckout ? "run node compiler/setup.mjs --gpu, or install" : "install"} clang and lld, version ${leastVersion} or later (Debian: apt-get install clang-19 lld-19), or name one in GSIC_CLANG`,
  });
}

/** Why a clang cannot be used; null if it can. */
async function problemOf(device: GpuDevice, command: string, version: string): Promise<string | null> {
  const number = clangVersion({ version });
  if (number === 0) return "is not clang";
  if (number < leastVersion) return `is version ${number}, before ${leastVersion}`;
  const targets = (await printed(command, "--print-targets")) ?? "";
  const { backEnd: back, isLinked } = gpuTools[device];
  if (!new RegExp(`^\\s*${back}\\s`, "m").test(targets)) return `lacks the back end ${back}`;
  if (!isLinked) return null;
  // clang prints the bare name of a program that it does not find.
  const linker = (await printed(command, "-print-prog-name=lld"))?.trim() ?? "";
  return isAbsolute(linker) ? null : `finds no lld: install lld-${number}`;
}

async function printed(command: string, option: string): Promise<string | null> {
  const outcome = await execute(command, [option]).catch(() => null);
  return outcome?.code === 0 ? outcome.stdout : null;
}
