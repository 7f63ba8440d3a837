import { execFileSync, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { packageRoot } from "./support/paths.js";
import { temporaryFolder } from "./testing/fixtures.js";

/** A machine whose only commands are a C++ compiler and a distribution that knows some packages and installs none. */
async function machine(known: readonly string[]): Promise<string> {
  const folder = await temporaryFolder();
  const compiler = execFileSync("sh", ["-c", `command -v ${process.env.CXX ?? "g++"}`], { encoding: "utf8" });
  await symlink(compiler.trim(), join(folder, "g++"));
  const script = (name: string, text: string) =>
    writeFile(join(folder, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  await script("apt-cache", `case "$2" in ${[...known, "none"].join("|")}) exit 0;; *) exit 1;; esac`);
  await script("apt-get", 'case "$1" in --version|update) exit 0;; *) exit 100;; esac');
  return folder;
}

function setup(path: string, ...options: string[]) {
  const env: NodeJS.ProcessEnv = { ...process.env, PATH: path, CXX: "" };
  delete env.CXX;
  delete env.GSIC_CLANG;
  const args = [join(packageRoot, "compiler/setup.mjs"), ...options];
  const { status, stderr } = spawnSync(process.execPath, args, { env, encoding: "utf8" });
  return { status, stderr };
}

test.skipIf(existsSync("/opt/rocm/llvm/bin/clang++"))(
  "--gpu asks for the newest clang that the distribution has with its linker",
  async () => {
    const known = ["clang-16", "lld-16", "clang-19", "lld-19", "clang-22", "clang-18", "lld-18"];
    const { status, stderr } = setup(await machine(known), "--gpu");
    expect(status).toBe(4);
    expect(stderr).toContain("apt-get install -y clang-19 lld-19 llvm-19");
  },
);

test.skipIf(existsSync("/opt/rocm/llvm/bin/clang++"))(
  "--gpu says what to do where the distribution has none",
  async () => {
    const { status, stderr } = setup(await machine(["clang-14", "lld-14"]), "--gpu");
    expect(status).toBe(4);
    expect(stderr).toContain("no clang from version 17 on");
    expect(stderr).toContain("GSIC_CLANG");
  },
);

test("options that it does not have are refused", () => {
  const { status, stderr } = setup(process.env.PATH!, "--gpus");
  expect(status).toBe(2);
  expect(stderr).toContain("unknown option --gpus");
});

test("packages behind a link are left as they are", async () => {
  const checkout = await temporaryFolder();
  const others = await temporaryFolder();
  await writeFile(join(others, "kept"), "");
  for (const file of ["compiler/setup.mjs", "runtime/build.json", "package.json", "package-lock.json"])
    await cp(join(packageRoot, file), join(checkout, file), { recursive: true });
  await symlink(others, join(checkout, "node_modules"));
  const args = [join(checkout, "compiler/setup.mjs")];
  const { status, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
  expect(existsSync(join(others, "kept"))).toBe(true);
  expect(stderr).toContain("node_modules is a link");
  expect(status).toBe(1); // there is no compiler behind this link
});
