import { type ChildProcess, spawn } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { buildRuntime } from "../compiler/cc/index.js";
import { context, testBundle } from "./testing/bundle.js";
import { gpuBundle } from "./testing/gpu-bundle.js";
import { buildKernels, finish } from "./testing/native.js";

const folder = mkdtempSync(join(tmpdir(), "gsic-main-"));
const path = (name: string): string => join(folder, name);
let code: Uint8Array;
let good: Uint8Array;

beforeAll(async () => {
  await buildKernels(path("kernels.so"));
  code = readFileSync(path("kernels.so"));
  good = await testBundle(code);
  writeFileSync(path("model.gsi"), good);
  copyFileSync(await buildRuntime("executable"), path("model"));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("the native executable generates, prints JSON, and ends with the right code", async () => {
  const streamed = await finish(path("model"), ["--ids", "1,2,3", "--tokens", "4"]);
  expect(streamed).toMatchObject({ code: 0, stdout: "1 2 3 3 3 3 3 \n", stderr: "" });
  const json = JSON.parse((await finish(path("model"), ["--ids", "1,2,3", "--tokens=4", "--json"])).stdout);
  expect(json).toMatchObject({
    mode: "bounded",
    prompt_ids: [1, 2, 3],
    ids: [3, 3, 3, 3],
    gates: { closed: 6, open: 0 },
    drafts: { passes: 0, proposed: 0, accepted: 0, looked_up: 0 },
  });
  expect(json.tokens_per_second).toBeGreaterThan(0);
  const sampled = ["--ids", "1", "--tokens", "20", "--temperature", "2", "--seed", "5"];
  expect(await finish(path("model"), sampled)).toEqual(await finish(path("model"), sampled));
  const nan = await testBundle(code, (m) => {
    const head = {
      kernel: 4,
      arguments: [
        { buffer: "step", offset: 0, bytes: 272 },
        { buffer: "arena", offset: 4096, bytes: 4096 },
      ],
    };
    for (const program of Object.values(m.programs as object)) program.head = [head];
  });
  writeFileSync(path("nan.gsi"), nan);
  writeFileSync(path("cut.gsi"), good.slice(0, 100));
  const codes: [string[], number, string][] = [
    [["--help"], 0, ""],
    [[], 2, "there is no prompt"],
    [["text"], 2, "without a tokenizer"],
    [["--ids", "1,x"], 2, "'x' is not an integer"],
    [["--ids", "40"], 2, "id 40"],
    [["--ids", "1", "--mode", "fast"], 2, "the modes are: bounded,exact"],
    [
      [
        "--ids",
        Array(context + 1)
          .fill(1)
          .join(),
      ],
      2,
      "shorten it",
    ],
    [["--bundle", path("cut.gsi"), "--ids", "1"], 3, "byte 16"],
    [["--bundle", path("none.gsi"), "--ids", "1"], 3, "none.gsi"],
    [["--bundle", path("nan.gsi"), "--ids", "1"], 1, "position 0 are not all finite"],
  ];
  for (const [args, expected, message] of codes) {
    const { code: found, stderr } = await finish(path("model"), args);
    expect(found, stderr).toBe(expected);
    expect(stderr).toContain(message);
  }
});

test("what a GPU lacks, and what befalls it, ends with exit code 4", async () => {
  await buildKernels(path("gpu_kernels.so"), "gpu_kernels");
  writeFileSync(path("gpu.gsi"), await gpuBundle([{ device: "hip", architecture: "gfx942" }]));
  const mockDriver = {
    GSIC_DRIVER: await buildRuntime("mock-driver"),
    GSIC_MOCK_KERNELS: path("gpu_kernels.so"),
  };
  const args = ["--bundle", path("gpu.gsi"), "--ids", "1,2,3", "--tokens", "4"];
  expect(await finish(path("model"), args, mockDriver)).toEqual({
    code: 0,
    stdout: "1 2 3 3 3 3 3 \n",
    stderr: "",
  });
  const cases: [Record<string, string>, string][] = [
    [{ GSIC_DRIVER: path("none.so") }, "AMD's driver (HIP) cannot be opened"],
    [{ GSIC_MOCK_DEVICES: "0" }, "no GPU is detected"],
    [{ GSIC_MOCK_ARCHITECTURE: "gfx90a" }, "built for gfx942"],
    [{ GSIC_MOCK_MEMORY: "2000" }, "bytes are needed for a session"],
    [{ GSIC_MOCK_LOSE_AFTER: "9" }, "close the model"],
  ];
  for (const [more, message] of cases) {
    const { code: found, stderr } = await finish(path("model"), args, { ...mockDriver, ...more });
    expect(found, stderr).toBe(4);
    expect(stderr).toContain(message);
  }
});

/** Starts the program, and lets `meet` do something to it; its exit code, or the signal that ended it. */
function started(
  args: readonly string[],
  meet: (child: ChildProcess) => void,
): Promise<number | string | null> {
  const child = spawn(path("model"), args, { stdio: ["pipe", "pipe", "pipe"] });
  meet(child);
  return new Promise((resolve) => child.on("exit", (exit, signal) => resolve(exit ?? signal)));
}

test("Ctrl-C and a reader that leaves end it cleanly", async () => {
  const slow = await testBundle(code, (m) => {
    const programs = m.programs as Record<string, { body: unknown[] }>;
    const many = programs.exact!.body;
    programs.bounded!.body = Array.from({ length: 50_000 }, () => many).flat();
  });
  writeFileSync(path("slow.gsi"), slow);
  const args = ["--bundle", path("slow.gsi"), "--ids", "1", "--tokens", "60", "--threads", "1"];
  let text = "";
  const interrupted = started(args, (child) => {
    child.stdout!.on("data", (data) => {
      text += data;
    });
    child.stdout!.once("data", () => child.kill("SIGINT"));
  });
  expect(await interrupted).toBe(0);
  expect(text).toMatch(/^1( \d+)* \n$/);
  expect(text.split(" ").length).toBeLessThan(50);
  expect(await started(args, (child) => child.stdout!.destroy())).toBe(0);
});

test("text that cannot be written is an error: a full disk, a closed standard output; a reader that left is not", async () => {
  const shell = (script: string) => finish("bash", ["-c", script, path("model")]);
  for (const options of ["--ids 1 --tokens 2", "--ids 1 --tokens 2 --json", "--help"]) {
    for (const [redirect, reason] of [
      ["> /dev/full", "cannot be written"],
      [">&-", "standard output is closed"],
    ] as const) {
      const { code, stderr } = await shell(`"$0" ${options} ${redirect}`);
      expect(code, options).toBe(4);
      expect(stderr).toContain(reason);
    }
    expect(await shell(`"$0" ${options} | true; exit \${PIPESTATUS[0]}`)).toMatchObject({
      code: 0,
      stderr: "",
    });
  }
  // The other two may be closed: no file of the program takes their place.
  expect(await shell('"$0" --ids 1 --tokens 2 <&- 2>&-')).toMatchObject({ code: 0 });
});
