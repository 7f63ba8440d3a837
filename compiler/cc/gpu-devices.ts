import type { GpuTarget } from "../config/target.js";
import type { ResourceFacts } from "../report/resources.js";
import { type CxxCompiler, clangVersion } from "./compilers.js";
import { parseResources } from "./resources.js";

/** A kind of GPU. */
export type GpuDevice = GpuTarget["device"];

/** How clang compiles for a kind of GPU. */
interface GpuTools {
  /** Whose GPUs they are. */
  readonly vendor: string;
  /** The back end that writes their code, as `clang --print-targets` names it. */
  readonly backEnd: string;
  /** Whether code objects are linked, by lld. */
  readonly isLinked: boolean;
  /** How the files of code objects end. */
  readonly ending: string;
  /** Flags beside those that every GPU's kernels get. */
  flags(architecture: string, compiler: CxxCompiler): readonly string[];
  /** What a kernel takes of the device, of what the compiler printed; null where it does not say. */
  resourcesOf(messages: string, symbol: string): ResourceFacts | null;
  /** The bytes that the driver loads, of those that the compiler wrote. */
  loadable(written: Uint8Array): Uint8Array;
}

/** The first version of clang that preloads parameters. */
const preloading = 18;

/** How clang compiles for each kind of GPU. */
export const gpuTools: Readonly<Record<GpuDevice, GpuTools>> = {
  hip: {
    vendor: "AMD",
    backEnd: "amdgcn",
    isLinked: true,
    ending: ".hsaco",
    flags: (architecture, compiler) => [
      ...["-x", "hip", `--offload-arch=${architecture}`, "--offload-device-only", "--no-gpu-bundle-output"],
      // Without the last, a symbol would be named after the source's path.
      ...["-nogpuinc", "-nogpulib", "-Rpass-analysis=kernel-resource-usage", "-fuse-cuid=none"],
      // What every ROCm from 5.7 on loads; the compiler's own choice may be newer than the driver.
      "-mcode-object-version=5",
      // Kernels are one function: calls would need a stack, and keep arrays out of registers.
      ...["-mllvm", "-amdgpu-early-inline-all=true", "-mllvm", "-amdgpu-function-calls=false"],
      // Pairs of floats must lie side by side: that takes 30 registers more, and large kernels spill.
      "-fno-slp-vectorize",
      // The first parameters are in registers when a kernel begins; firmware that cannot do so begins where it loads them.
      ...(clangVersion(compiler) >= preloading ? ["-mllvm", "-amdgpu-kernarg-preload-count=16"] : []),
    ],
    resourcesOf: parseResources,
    loadable: (written) => written,
  },
  cuda: {
    vendor: "NVIDIA",
    backEnd: "nvptx64",
    isLinked: false,
    ending: ".ptx",
    flags: (architecture) => [
      ...["-x", "cuda", `--cuda-gpu-arch=${architecture}`, "--cuda-device-only", "-nocudainc"],
      ...["-nocudalib", "--cuda-feature=+ptx80", "-S", "-fuse-cuid=none"],
      // One function as well.
      ...["-mllvm", "-inline-threshold=100000"],
    ],
    // The driver assigns registers when it loads the text, which ends in a NUL.
    resourcesOf: () => null,
    loadable: (written) => Buffer.concat([written, Buffer.of(0)]),
  },
};

/** The kinds of GPUs. */
export const gpuDevices = Object.keys(gpuTools) as readonly GpuDevice[];
