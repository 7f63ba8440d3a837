/** What gsic needs of a machine, and what it can use of it. */

import { access, constants, readdir, readFile, stat, statfs } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import {
  buildRuntime,
  findCompiler,
  findGpuCompiler,
  type GpuDevice,
  gpuDevices,
  gpuTools,
  hasGenericKernels,
  isPrebuilt,
} from "../cc/index.js";
import { readMachine, runnableTargets } from "../cc/machine.js";
import { runTool } from "../cc/tool.js";
import { GsicError } from "../support/errors.js";
import { cacheFolder, isCheckout, runtimeFolder } from "../support/paths.js";
import { execute } from "../support/process.js";
import { size } from "../support/text.js";
import { type Check, check } from "./check.js";

/** As package.json says. */
const leastNode = 20;
/** A build of a small model, compiled runtime included, takes less. */
const leastFree = 1e9;

/** Runs every check, in the order in which what they look at is needed. */
export async function runChecks(): Promise<Check[]> {
  const tools = [node(), compiler(), libraries(), ...gpuDevices.map(gpuCompiler), python()];
  const first = await Promise.all(tools);
  // Compiling takes all cores: one at a time.
  const runtime = await nativeTool();
  const addon = await nodeAddon();
  const machine = await Promise.all([cpu(), ...gpuDevices.map(gpu), cache(), output()]);
  return [...first, runtime, addon, ...machine];
}

function node(): Promise<Check> {
  const fix = `install Node ${leastNode} or later`;
  return check({ id: "node", title: "Node", fix }, () => {
    const { node: version } = process.versions;
    if (Number(version.split(".")[0]) < leastNode) throw new Error(`${version} is too old`);
    return version;
  });
}

/** Without one, kernels for all shapes do, where they came compiled. */
async function compiler(): Promise<Check> {
  const optional = await hasGenericKernels();
  const fix = `sudo apt-get install g++${optional ? ": kernels that are made for a model are faster" : ""}`;
  return check({ id: "compiler", title: "C++ compiler", fix, optional }, async () => {
    const { command, version } = await findCompiler();
    return `${command}: ${version.split("\n")[0]}`;
  });
}

/** What runtime/build.json names. */
interface Need {
  readonly header: string;
  readonly debian: string;
}

function libraries(): Promise<Check> {
  const fix = isCheckout ? "node compiler/setup.mjs" : "install what is missing";
  return check({ id: "libraries", title: "C++ libraries", fix }, async () => {
    if ((await isPrebuilt("tool")) && (await isPrebuilt("addon")))
      return "not needed: the native runtime came compiled";
    const { command } = await findCompiler();
    const text = await readFile(join(runtimeFolder, "build.json"), "utf8");
    const { needs } = JSON.parse(text) as { needs: readonly Need[] };
    const missing: Need[] = [];
    for (const need of needs) if (!(await hasHeader(command, need.header))) missing.push(need);
    if (missing.length === 0) return needs.map(({ header }) => header).join(", ");
    const packages = missing.map(({ debian }) => debian).join(" ");
    throw new Error(`missing: ${missing.map(({ header }) => header).join(", ")} (Debian: ${packages})`);
  });
}

/** Whether the compiler finds a header; PCRE2's wants to know its character width first. */
async function hasHeader(command: string, header: string): Promise<boolean> {
  const args = ["-E", "-x", "c++", "-DPCRE2_CODE_UNIT_WIDTH=8", "-include", header, "/dev/null"];
  return (await execute(command, [...args, "-o", "/dev/null"])).code === 0;
}

function gpuCompiler(device: GpuDevice): Promise<Check> {
  const { vendor, isLinked } = gpuTools[device];
  const title = `Compiler, ${vendor} GPUs`;
  const fix = isCheckout ? "node compiler/setup.mjs --gpu" : "sudo apt-get install clang lld";
  return check({ id: `compiler-${device}`, title, fix, optional: true }, async () => {
    const { command, version } = await findGpuCompiler(device);
    const clang = `${command}: ${version.split("\n")[0]}`;
    if (!isLinked) return clang;
    const linker = (await execute(command, ["-print-prog-name=lld"])).stdout.trim();
    const { stdout } = await execute(linker, ["-flavor", "gnu", "--version"]);
    return `${clang}; ${stdout.split("\n")[0]}`;
  });
}

function python(): Promise<Check> {
  const title = "Python";
  const fix = "sudo apt-get install python3, to fetch example models or to collect statistics in PyTorch";
  return check({ id: "python", title, fix, optional: true }, async () => {
    const outcome = await execute("python3", ["--version"]).catch(() => null);
    if (outcome?.code !== 0) throw new Error("python3 does not answer");
    return outcome.stdout.trim();
  });
}

function nativeTool(): Promise<Check> {
  const fix = isCheckout ? "node compiler/setup.mjs" : "put right what is broken above";
  return check({ id: "runtime", title: "Native runtime", fix }, async () => {
    await runTool(["machine"]);
    return (await isPrebuilt("tool")) ? "came compiled, and runs" : "compiles and runs";
  });
}

function nodeAddon(): Promise<Check> {
  const fix = "remove the file, and try again: it is then compiled for this Node";
  return check({ id: "addon", title: "Node addon", fix }, async () => {
    const file = await buildRuntime("addon");
    // In a process of its own: an addon that crashes must not take the report with it.
    const script = `process.dlopen({ exports: {} }, ${JSON.stringify(file)})`;
    const { code, stderr } = await execute(process.execPath, ["-e", script]);
    const how = (await isPrebuilt("addon")) ? "came compiled, and loads" : "compiles and loads";
    if (code === 0) return `${how}: ${file}`;
    throw new Error(/^Error: .*$/m.exec(stderr)?.[0] ?? `Node ended with ${code ?? "a signal"}: ${file}`);
  });
}

function cpu(): Promise<Check> {
  const fix = "use a machine of the kind that targets/ describes, or add a target";
  return check({ id: "cpu", title: "CPU", fix }, async () => {
    const { features, mask } = (await readMachine()).cpu;
    const [target] = await runnableTargets();
    if (target === undefined) throw new Error(`no target is for ${process.arch}`);
    const parts = [
      `builds run as ${target.name}`,
      ...(features.length > 0 ? [`it has ${features.join(", ")}`] : []),
      ...(mask === null ? [] : [`GSIC_CPU=${mask} hides the rest`]),
    ];
    return { found: parts.join("; "), details: { target: target.name, features, mask } };
  });
}

function gpu(device: GpuDevice): Promise<Check> {
  const title = `GPU, ${gpuTools[device].vendor}`;
  const fix = "install the GPU's driver";
  return check({ id: `gpu-${device}`, title, fix, optional: true }, async () => {
    const found = (await readMachine()).gpus.find((one) => one.device === device);
    if (found?.name === undefined)
      throw noGpu(found?.problem ?? "the runtime does not know", found?.hint ?? fix);
    return {
      found: `${found.name}, ${found.units} compute units`,
      details: { name: found.name, units: found.units },
    };
  });
}

/** The runtime's own words. GPUs are needed to run builds for them, not to make them. */
function noGpu(message: string, next: string): GsicError {
  const hint = `${next}, to run builds for it (they are built without)`;
  return new GsicError({ category: "environment", code: "no-device", message, hint });
}

function cache(): Promise<Check> {
  const folder = cacheFolder();
  const fix = "free space, or set GSIC_CACHE to a folder that can be written";
  return check({ id: "cache", title: "Cache", fix }, async () => {
    const [free, bytes] = [await requireWritable(folder), await bytesBelow(folder)];
    return {
      found: `${folder}: ${size(bytes)}, and ${size(free)} free`,
      details: { folder, bytes, free },
    };
  });
}

function output(): Promise<Check> {
  const folder = resolve("build");
  const fix = "free space, or choose another folder with --out";
  return check({ id: "output", title: "Output folder", fix }, async () => {
    const free = await requireWritable(folder);
    return { found: `${folder}: ${size(free)} free`, details: { folder, free } };
  });
}

/** Bytes that are free where a folder is, or will be. Throws if it cannot be written, or has next to no room. */
async function requireWritable(folder: string): Promise<number> {
  const status = await stat(folder).catch(() => null);
  if (status === null) {
    if (dirname(folder) !== folder) return requireWritable(dirname(folder));
    throw new Error(`${folder} is not there`);
  }
  if (!status.isDirectory()) throw new Error(`${folder} is not a folder`);
  await access(folder, constants.W_OK | constants.X_OK).catch(() => {
    throw new Error(`${folder} cannot be written`);
  });
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  if (free < leastFree) throw new Error(`${folder} has ${size(free)} free; a build wants ${size(leastFree)}`);
  return free;
}

/** Bytes that the files below a folder take; files that go meanwhile do not count. */
async function bytesBelow(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  let bytes = 0;
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    bytes += (await stat(join(entry.parentPath, entry.name)).catch(() => null))?.size ?? 0;
  }
  return bytes;
}
