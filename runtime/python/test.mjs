// Makes a virtual environment in build/, and runs tests of runtime/python in it. Needs Python 3.10 or later.
//   npm run test:python       with PyTorch and transformers; downloads about 3 GB the first time where pip finds no smaller
//                             PyTorch than the one for GPUs
//   npm run test:onnxruntime  with ONNX Runtime and onnx; downloads about 70 MB
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const folder = dirname(fileURLToPath(import.meta.url));
const root = join(folder, "../..");
const kinds = {
  python: { venv: "build/python", extra: "test", tests: "tests" },
  onnxruntime: { venv: "build/onnxruntime", extra: "test-onnxruntime", tests: "tests/test_onnxruntime.py" },
};
const [kind = "python", ...more] = process.argv.slice(2);
const { extra, tests, ...where } = kinds[kind];
const venv = join(root, where.venv);
const python = join(venv, "bin/python");

run(process.execPath, ["compiler/setup.mjs"]);
if (!existsSync(python)) run("python3", ["-m", "venv", venv]);
run(python, ["-m", "pip", "install", "--quiet", "-e", `${folder}[${extra}]`]);
run(python, ["-m", "pytest", "-q", "-rs", join(folder, tests), ...more]);

function run(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: "inherit" });
  if (error !== undefined) process.stderr.write(`${command}: ${error.message}\n`);
  if (status !== 0) process.exit(status ?? 1);
}
