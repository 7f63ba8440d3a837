import { join } from "node:path";
import { findCompiler, run } from "../../cc/compilers.js";
import { packageRoot, runtimeFolder } from "../../support/paths.js";
import { compatObject, requireOldGlibc } from "../prebuilt/link.js";

/** PyTorch's library that the operator's symbols come from; every PyTorch has loaded it under this name. */
export const torchLibrary = "libtorch_cpu.so";

/** The first PyTorch whose stable ABI is asked for: 2.10, as TORCH_TARGET_VERSION has it. */
const torchVersion = "0x020a000000000000";

/**
 * Compiles runtime/python/native into the library `output`, with PyTorch's headers in `include`. It names PyTorch's library
 * as one that it needs, though the real one is not here: an empty library of that name, in the folder `work`, stands in for
 * it. libstdc++ stays the system's, as PyTorch's own: exceptions cross from one to the other.
 */
export async function compileOperator(include: string, output: string, work: string): Promise<void> {
  const compiler = await findCompiler();
  const stub = join(work, torchLibrary);
  await run(compiler, ["-shared", "-x", "c", "/dev/null", `-Wl,-soname,${torchLibrary}`, "-o", stub], stub);
  const source = join(runtimeFolder, "python/native/operator.cpp");
  const flags = [
    ...["-std=c++17", "-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-Wall", "-Wextra", "-s"],
    `-DTORCH_TARGET_VERSION=${torchVersion}`,
    // Messages name no folder of this machine.
    `-ffile-prefix-map=${packageRoot}/=`,
    ...["-isystem", include],
  ];
  // What is not called goes, and with it what it needs of newer systems.
  const libraries = ["-Wl,--gc-sections", "-Wl,--no-as-needed", stub, "-Wl,--as-needed"];
  await run(compiler, [...flags, source, await compatObject(), ...libraries, "-o", output], source);
  await requireOldGlibc(output, "PyTorch's operator");
}
