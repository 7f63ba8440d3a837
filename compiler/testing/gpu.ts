/** Helpers of the tests of GPU targets: whether a compiler is here, and what its code objects hold. */

import { execFileSync, spawnSync } from "node:child_process";
import { compileGpuKernels } from "../cc/index.js";
import { type GpuTarget, isGpu } from "../config/target.js";
import { readTarget } from "../config/targets.js";
import type { Kernel, LaunchShape } from "../ir/program.js";
import { messageOf } from "../support/errors.js";

/** A GPU target by its name. */
export function gpuTarget(name: string): GpuTarget {
  const target = readTarget(name);
  if (!isGpu(target)) throw new Error(`${name} is no GPU`);
  return target;
}

/** Why nothing can be compiled for a target here; null if it can. For `test.skipIf`. */
export async function whyNotCompiled(target: GpuTarget): Promise<string | null> {
  const source = 'extern "C" __attribute__((global)) void empty() {}\n';
  try {
    await compileGpuKernels([kernel("empty", source, { lds: 0 })], target);
    return null;
  } catch (error) {
    return messageOf(error);
  }
}

/** A kernel of hand-written source. */
export function kernel(symbol: string, source: string, launch: Partial<LaunchShape> = {}): Kernel {
  return {
    symbol,
    template: "test",
    summary: symbol,
    arguments: [],
    launch: { threads: 64, lds: 0, maxWorkgroups: 1, perUnit: 1, ...launch },
    source,
  };
}

/** The path of an LLVM tool such as `llvm-readelf`, or null; Debian's have their version at the end. */
export function llvmTool(name: string): string | null {
  const versions = [22, 21, 20, 19, 18, 17].map((version) => `${name}-${version}`);
  const answers = (command: string) => spawnSync(command, ["--version"], { stdio: "ignore" }).status === 0;
  return [`/opt/rocm/llvm/bin/${name}`, ...versions, name].find(answers) ?? null;
}

/** What `llvm-readelf` prints of a code object: its header, symbols and notes. */
export function readelf(tool: string, file: string): string {
  return execFileSync(tool, ["--file-header", "--symbols", "--notes", "--wide", file], { encoding: "utf8" });
}

/** The instructions of a code object for AMD's devices, one a line, without addresses. */
export function disassembly(tool: string, file: string): string[] {
  const text = execFileSync(tool, ["--disassemble", "--no-show-raw-insn", "--no-leading-addr", file], {
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  return text
    .split("\n")
    .map((line) => line.replace(/\/\/.*$/, "").trim())
    .filter((line) => /^[a-z]\w*(\s|$)/.test(line));
}
