// Makes a fresh clone ready: system packages, npm packages, and the compiled compiler; with --gpu a compiler for GPU
// targets too, with --browser a browser that tests open report.html in, where the distribution has one, with --tests other
// commands that tests run. Plain JavaScript without dependencies, because it runs before there are any. Everything that is already
// there is left alone.
import { spawnSync } from "node:child_process";
import { existsSync, lstatSync, readFileSync, statSync } from "node:fs";
import { dirname, isAbsolute, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const leastNode = 20;
/** Versions of clang that GPU kernels are compiled with, as in compiler/cc/gpu-compiler.ts. */
const clangVersions = [22, 21, 20, 19, 18, 17];
/** Debian packages that are a command, not a header. */
const commands = [{ command: "g++", debian: "g++", instead: ["clang++", "c++"] }];
/** Those that tests run. */
const testCommands = [{ command: "cmake", debian: "cmake" }];
/** What Chromium is called; as in compiler/report-html/page/browser-testing.ts. */
const browsers = ["chromium", "chromium-browser", "google-chrome"];

main();

function main() {
  if (Number(process.versions.node.split(".")[0]) < leastNode) {
    fail(2, `gsic needs Node ${leastNode} or later; this is ${process.versions.node}`);
  }
  const options = process.argv.slice(2);
  const unknown = options.find((option) => !["--gpu", "--browser", "--tests"].includes(option));
  if (unknown !== undefined)
    fail(2, `unknown option ${unknown}\n  next  node compiler/setup.mjs [--gpu] [--browser] [--tests]`);
  installSystemPackages(options.includes("--gpu"), options.includes("--tests") ? testCommands : []);
  if (options.includes("--browser")) installBrowser();
  installNpmPackages();
  compile();
}

/** Installs what the native parts, GPU kernels and more commands need, where this user may; else names the command that does. */
function installSystemPackages(gpu, more) {
  const missing = missingPackages(more);
  const needsClang = gpu && !hasGpuCompiler();
  if (missing.length === 0 && !needsClang) return;
  const prefix = aptPrefix();
  if (prefix !== null) run([...prefix, "apt-get", "update", "-q"], { quiet: true });
  const packages = [...missing, ...(needsClang ? gpuPackages() : [])];
  const command = `apt-get install -y ${packages.join(" ")}`;
  if (prefix === null) {
    fail(
      4,
      `system packages are missing: ${packages.join(", ")}\n  next  sudo apt-get update && sudo ${command}`,
    );
  }
  say(`installing system packages: ${packages.join(", ")}`);
  const options = ["install", "-y", "-q", "--no-install-recommends"];
  if (!run([...prefix, "apt-get", ...options, ...packages], { quiet: true, apt: true })) {
    fail(4, `the packages could not be installed\n  next  run it yourself: ${command}`);
  }
  const still = missingPackages(more);
  if (still.length > 0) fail(4, `still missing after the installation: ${still.join(", ")}`);
  if (needsClang && !hasGpuCompiler()) fail(4, "the clang that was installed does not compile for GPUs");
}

/** Installs a browser where this user may; without one the tests of report.html in a browser are skipped. */
function installBrowser() {
  if (process.env.GSIC_CHROMIUM || browsers.some(answers)) return;
  const prefix = aptPrefix();
  const command = "apt-get install -y chromium";
  if (prefix === null) return say(`there is no Chromium to test pages in; ${command} installs one`);
  say("installing a browser for tests: chromium");
  run([...prefix, "apt-get", "update", "-q"], { quiet: true });
  const options = ["install", "-y", "-q", "--no-install-recommends"];
  if (!run([...prefix, "apt-get", ...options, "chromium"], { quiet: true, apt: true }))
    say(`it could not be installed; ${command} says more`);
}

/** Whether a clang is here that compiles for AMD's GPUs, and finds the linker for it. */
function hasGpuCompiler() {
  const versions = clangVersions.map((version) => `clang++-${version}`);
  const others = ["/opt/rocm/llvm/bin/clang++", ...versions, "clang++"];
  const commands = process.env.GSIC_CLANG ? [process.env.GSIC_CLANG] : others;
  return commands.some((command) => {
    const version = /clang version (\d+)/.exec(printed(command, "--version"))?.[1];
    if (Number(version ?? 0) < clangVersions.at(-1)) return false;
    const linker = printed(command, "-print-prog-name=lld").trim();
    return /^\s*amdgcn\s/m.test(printed(command, "--print-targets")) && isAbsolute(linker);
  });
}

/** Debian names of the newest clang that the distribution has, its linker, and the tools that tests look at code with. */
function gpuPackages() {
  const known = (name) => spawnSync("apt-cache", ["show", name], { stdio: "ignore" }).status === 0;
  const newest = clangVersions.find((version) => [`clang-${version}`, `lld-${version}`].every(known));
  if (newest === undefined) {
    const least = clangVersions.at(-1);
    fail(
      4,
      `no clang from version ${least} on is among this system's packages\n  next  install clang and lld yourself, or name a clang++ in GSIC_CLANG`,
    );
  }
  return [`clang-${newest}`, `lld-${newest}`, `llvm-${newest}`];
}

/** Debian names of what runtime/build.json needs and the C++ compiler does not find, and of commands that do not answer. */
function missingPackages(more) {
  const silent = more.filter(({ command }) => !answers(command)).map(({ debian }) => debian);
  const absent = commands.filter(({ command, instead }) => ![command, ...instead].some(answers));
  if (absent.length > 0 && process.env.CXX === undefined) {
    return [...absent.map(({ debian }) => debian), ...needs().map(({ debian }) => debian), ...silent];
  }
  const compiler = process.env.CXX ?? ["g++", "clang++", "c++"].find(answers);
  const missing = needs().filter(({ header }) => {
    const stdio = ["pipe", "ignore", "ignore"];
    const probe = spawnSync(compiler, ["-E", "-x", "c++", "-"], { input: probeText(header), stdio });
    return probe.status !== 0;
  });
  return [...new Set(missing.map(({ debian }) => debian)), ...silent];
}

/** A source that includes a header; PCRE2's wants to know its character width first. */
function probeText(header) {
  return `#define PCRE2_CODE_UNIT_WIDTH 8\n#include <${header}>\n`;
}

function needs() {
  return JSON.parse(readFileSync(join(root, "runtime/build.json"), "utf8")).needs;
}

/** What to put before apt-get: nothing for root, sudo where it asks no password; null if neither. */
function aptPrefix() {
  if (!answers("apt-get")) return null;
  if (process.getuid?.() === 0) return [];
  return spawnSync("sudo", ["-n", "true"], { stdio: "ignore" }).status === 0 ? ["sudo", "-n"] : null;
}

function installNpmPackages() {
  const installed = join(root, "node_modules/.package-lock.json");
  const lock = join(root, "package-lock.json");
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(lock).mtimeMs) return;
  if (lstatSync(join(root, "node_modules"), { throwIfNoEntry: false })?.isSymbolicLink()) {
    // npm ci would empty the folder behind the link, which is another checkout's.
    say(
      "node_modules is a link, and is left as it is; if packages are missing, install them where it points to",
    );
    return;
  }
  say("installing npm packages");
  if (!run(["npm", "ci", "--no-audit", "--no-fund"], { quiet: true }))
    fail(4, "npm ci failed; its message is above");
}

function compile() {
  const compiler = join(root, "node_modules/typescript/bin/tsc");
  if (!run([process.execPath, compiler, "-p", join(root, "tsconfig.json")], {}))
    fail(1, "the compiler did not compile");
}

/** Runs a command in the checkout; its output is shown if it fails, or as it comes unless `quiet`. */
function run([command, ...args], { quiet = false, apt = false }) {
  const env = apt ? { ...process.env, DEBIAN_FRONTEND: "noninteractive" } : process.env;
  const result = spawnSync(command, args, { cwd: root, env, stdio: quiet ? "pipe" : ["ignore", 2, 2] });
  if (result.status !== 0 && quiet) process.stderr.write(`${result.stdout ?? ""}${result.stderr ?? ""}`);
  return result.status === 0;
}

function answers(command) {
  return spawnSync(command, ["--version"], { stdio: "ignore" }).status === 0;
}

/** What a command prints when asked with one option; nothing if it does not answer. */
function printed(command, option) {
  return spawnSync(command, [option], { stdio: ["ignore", "pipe", "ignore"] }).stdout?.toString() ?? "";
}

function say(text) {
  process.stderr.write(`gsic setup: ${text}\n`);
}

function fail(code, text) {
  say(text);
  process.exit(code);
}
