// npm run test:python: makes a virtual environment with PyTorch and transformers in build/python, and runs the tests of
// runtime/python in it. Needs Python 3.10 or later, and downloads about 3 GB the first time where pip finds no smaller
// PyTorch than the one for GPUs.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const folder = dirname(fileURLToPath(import.meta.url));
const root = join(folder, "../..");
const venv = join(root, "build/python");
const python = join(venv, "bin/python");

run(process.execPath, ["compiler/setup.mjs"]);
if (!existsSync(python)) run("python3", ["-m", "venv", venv]);
run(python, ["-m", "pip", "install", "--quiet", "-e", `${folder}[test]`]);
run(python, ["-m", "pytest", "-q", join(folder, "tests"), ...process.argv.slice(2)]);

function run(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: "inherit" });
  if (error !== undefined) process.stderr.write(`${command}: ${error.message}\n`);
  if (status !== 0) process.exit(status ?? 1);
}
