import { execFileSync } from "node:child_process";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { buildRuntime, isPrebuilt } from "../cc/index.js";
import { CommandLine } from "../testing/cli.js";
import { temporaryFolder } from "../testing/fixtures.js";
import type { Check } from "./check.js";

interface DoctorJson {
  readonly ok: boolean;
  readonly checks: readonly Check[];
}

let gsic: CommandLine;

beforeAll(() => {
  gsic = new CommandLine();
});

/** Runs `gsic doctor --json` with variables on top of the environment. */
async function doctor(env: Readonly<Record<string, string>>) {
  const { code, stdout, stderr } = await gsic.run(["doctor", "--json"], { env });
  const { ok, checks } = JSON.parse(stdout) as DoctorJson;
  expect(ok, stderr).toBe(code === 0);
  const of = (id: string): Check => {
    const found = checks.find((one) => one.id === id);
    if (found === undefined) throw new Error(`no check ${id}`);
    return found;
  };
  for (const { verdict, fix } of checks) expect(fix === null).toBe(verdict === "ok");
  return { code, of };
}

test("a machine that can build is in order, whatever GPUs it lacks; a driver is found as the runtime finds it", async () => {
  const driver = await buildRuntime("mock-driver");
  const { code, of } = await doctor({ GSIC_DRIVER: driver });
  expect(code).toBe(0);
  for (const id of ["node", "compiler", "libraries", "runtime", "addon", "cpu", "cache", "output"])
    expect(of(id), id).toMatchObject({ verdict: "ok" });
  expect(of("cpu").details).toMatchObject({ target: expect.stringMatching(/^cpu-/) });
  expect(of("cache").details!.bytes).toBeGreaterThan(0);
  for (const id of ["gpu-hip", "gpu-cuda"]) expect(of(id)).toMatchObject({ verdict: "ok" });

  const text = await gsic.run(["doctor"], { env: { GSIC_DRIVER: "/nowhere/driver.so" } });
  expect(text.code).toBe(0);
  for (const line of text.stdout.split("\n")) expect(line.length, line).toBeLessThanOrEqual(100);
  expect(text.stdout).toContain("Everything that gsic needs is here.");
  expect(text.stdout.replaceAll(/\s+/g, " ")).toMatch(/missing, optional GPU, AMD .*\/nowhere\/driver.so/);
});

test("a CPU with GSIC_CPU is what that leaves, and says so", async () => {
  const { code, of } = await doctor({ GSIC_CPU: "portable" });
  expect(code).toBe(0);
  expect(of("cpu")).toMatchObject({
    found: "builds run as cpu-portable; GSIC_CPU=portable hides the rest",
    details: { target: "cpu-portable", features: [], mask: "portable" },
  });
  const wrong = await doctor({ GSIC_CPU: "avx3" });
  expect(wrong.code).toBe(4);
  expect(wrong.of("cpu")).toMatchObject({ verdict: "broken", found: expect.stringContaining("GSIC_CPU") });
});

test("a machine without compilers and with a spoilt cache is told what to do", async () => {
  const folder = await temporaryFolder();
  const file = join(folder, "file");
  writeFileSync(file, "");
  const env = {
    PATH: folder,
    CXX: "/nowhere/g++",
    GSIC_CLANG: "/nowhere/clang++",
    GSIC_CACHE: join(file, "cache"),
    GSIC_PREBUILT: "off",
  };
  const { code, of } = await doctor(env);
  expect(code).toBe(4);
  expect(of("compiler")).toMatchObject({
    verdict: "broken",
    fix: expect.stringContaining("apt-get install g++"),
  });
  for (const id of ["libraries", "runtime", "addon", "cpu"])
    expect(of(id)).toMatchObject({ verdict: "broken" });
  for (const id of ["compiler-hip", "compiler-cuda", "python"])
    expect(of(id)).toMatchObject({ verdict: "missing, optional" });
  expect(of("compiler-hip").fix).toContain("node compiler/setup.mjs --gpu");
  expect(of("cache")).toMatchObject({ verdict: "broken", fix: expect.stringContaining("GSIC_CACHE") });
  const text = await gsic.run(["doctor"], { env });
  expect(text.code).toBe(4);
  expect(text.stdout).toMatch(/^Broken: C\+\+ compiler/m);
});

test("where the native runtime came compiled, neither its libraries are asked for nor a compiler", async ({
  skip,
}) => {
  if (!((await isPrebuilt("tool")) && (await isPrebuilt("addon"))))
    skip("nothing came compiled for these sources (npm run prebuilt)");
  const { code, of } = await doctor({ CXX: "/nowhere/g++" });
  expect(code).toBe(0);
  expect(of("compiler")).toMatchObject({
    verdict: "missing, optional",
    fix: expect.stringContaining("kernels"),
  });
  expect(of("libraries")).toMatchObject({ verdict: "ok", found: expect.stringContaining("not needed") });
  for (const id of ["runtime", "addon"])
    expect(of(id)).toMatchObject({ verdict: "ok", found: expect.stringContaining("came compiled") });
});

test("headers that the compiler does not find are named with their packages", async () => {
  const folder = await temporaryFolder();
  const real = execFileSync("sh", ["-c", `command -v ${process.env.CXX ?? "g++"}`], {
    encoding: "utf8",
  }).trim();
  const compiler = join(folder, "g++");
  writeFileSync(
    compiler,
    `#!/bin/sh\ncase "$*" in *pcre2.h*) echo "fatal error: pcre2.h: No such file or directory" >&2; exit 1;; esac\nexec ${real} "$@"\n`,
  );
  chmodSync(compiler, 0o755);
  const { code, of } = await doctor({ CXX: compiler, GSIC_PREBUILT: "off" });
  expect(code).toBe(4);
  expect(of("libraries").found).toBe("missing: pcre2.h (Debian: libpcre2-dev)");
  expect(of("libraries").fix).toBe("node compiler/setup.mjs");
});
