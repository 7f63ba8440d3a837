import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { addDrafting, testWeights } from "./testing/bundle.js";
import { type GpuManifest, type GpuTarget, gpuBundle } from "./testing/gpu-bundle.js";
import { build, buildKernels, finish, sources } from "./testing/native.js";

const folder = mkdtempSync(join(tmpdir(), "gsic-gpu-"));
const path = (name: string): string => join(folder, name);

const hip: GpuTarget = { device: "hip", architecture: "gfx942" };
const cuda: GpuTarget = { device: "cuda", architecture: "sm_90" };
const launches = { body: 3, head: 2 };

/** the mock driver's account of a run. */
interface Account {
  readonly live_allocations: number;
  readonly launches: number;
  readonly graph_launches: number;
  readonly bytes_to_host: number;
  readonly devices: readonly number[];
  readonly kernels: readonly {
    readonly symbol: string;
    readonly launches: number;
    readonly arguments: readonly { readonly loaded: number; readonly stored: number }[];
  }[];
}

const environment = (more: Readonly<Record<string, string>> = {}) => ({
  GSIC_DRIVER: path("mock-driver.so"),
  GSIC_MOCK_KERNELS: path("gpu_kernels.so"),
  GSIC_MOCK_ACCOUNT: path("account.json"),
  ...more,
});

const account = (): Account => JSON.parse(readFileSync(path("account.json"), "utf8"));

/** Runs `check gpu-run`; what failed first. */
async function gpuRun(
  bundle: string,
  more: Readonly<Record<string, string>> = {},
): Promise<{ status: number; step: string; message: string }> {
  const { code, stdout, stderr } = await finish(path("check"), ["gpu-run", path(bundle)], environment(more));
  expect(code, stderr).toBe(0);
  const [, status, step, message] = /^(\d+) (\w+) (.*)\n$/s.exec(stdout)!;
  return { status: Number(status), step: step!, message: message! };
}

beforeAll(async () => {
  await buildKernels(path("gpu_kernels.so"), "gpu_kernels");
  const checks = sources("testing").filter((file) => !file.endsWith("kernels.cpp"));
  await build(path("check"), [...sources("src"), ...checks]);
  await build(path("mock-driver.so"), sources("mock-driver"), ["-shared"]);
  writeFileSync(path("hip.gsi"), await gpuBundle([{ ...hip, architecture: "gfx90a" }, hip]));
  writeFileSync(path("cuda.gsi"), await gpuBundle([cuda]));
}, 600_000);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

test.each([
  { name: "hip", target: "gfx942", claims: "gfx942" },
  { name: "hip", target: "gfx90a", claims: "" },
  { name: "cuda", target: "sm_90", claims: "sm_100" },
])("a $name bundle runs on $claims", async ({ name, target, claims }) => {
  const more = { GSIC_MOCK_ARCHITECTURE: claims, GSIC_MOCK_UNITS: "3" };
  const result = await finish(path("check"), ["gpu", path(`${name}.gsi`), target, "3"], environment(more));
  expect(result).toEqual({ code: 0, stdout: "", stderr: "" });
  expect(account().live_allocations).toBe(0);
});

test("drafting on a device changes nothing, greedy by sixteen bytes a token and sampled by logits", async () => {
  for (const target of [hip, cuda]) {
    writeFileSync(path("drafting.gsi"), await gpuBundle([target], addDrafting));
    const result = await finish(path("check"), ["drafting", path("drafting.gsi")], environment());
    expect(result).toEqual({ code: 0, stdout: "", stderr: "" });
  }
});

test("requests in company write on a device what they write alone", async () => {
  writeFileSync(path("drafting.gsi"), await gpuBundle([cuda], addDrafting));
  for (const bundle of ["hip.gsi", "drafting.gsi"]) {
    const result = await finish(path("check"), ["batch", path(bundle)], environment());
    expect(result).toEqual({ code: 0, stdout: "", stderr: "" });
    expect(account().live_allocations).toBe(0);
  }
});

test("a pass is one graph and a head another; greedy choice reads sixteen bytes", async () => {
  for (const name of ["hip.gsi", "cuda.gsi"]) {
    expect(await gpuRun(name)).toEqual({ status: 0, step: "done", message: "" });
    const found = account();
    // 20 tokens are two passes, the second one with a head; then the token that is given, and 7 that follow.
    expect(found.graph_launches).toBe(3 + 8 * 2);
    expect(found.launches).toBe((2 + 8) * launches.body + (1 + 8) * launches.head);
    expect(found.bytes_to_host).toBe(40 * 4 + 8 * 16);
    expect(found.live_allocations).toBe(0);
    const embed = found.kernels[0]!;
    expect(embed).toMatchObject({ symbol: "test_embed", launches: 10 });
    expect(embed.arguments.map(({ loaded }) => loaded)).toEqual([10 * 272, 28 * 8 * 4, 0]);
    expect(embed.arguments.map(({ stored }) => stored)).toEqual([0, 0, 28 * 8 * 4]);
  }
});

test("a launch that finds work from a position on is left out of the passes before it", async () => {
  const late = (manifest: GpuManifest) => {
    manifest.programs.bounded.body[2].from = 22;
  };
  writeFileSync(path("late.gsi"), await gpuBundle([hip], late));
  expect(await gpuRun("late.gsi")).toEqual({ status: 0, step: "done", message: "" });
  // Of ten passes, those of positions 22 to 27 have it.
  expect(account().graph_launches).toBe(3 + 8 * 2);
  expect(account().launches).toBe(10 * (launches.body - 1) + 6 + 9 * launches.head);
});

test("a kernel that reads the step by a scalar load is found out: the copy did not reach its cache", async () => {
  await buildKernels(path("scalar_kernels.so"), "gpu_kernels", ["-DGSIC_SCALAR_STEP"]);
  const result = await gpuRun("hip.gsi", { GSIC_MOCK_KERNELS: path("scalar_kernels.so") });
  expect(result).toMatchObject({ status: 10, step: "generate" });
  expect(result.message).toMatch(
    /the device computed token \d+ at position \d+, in place of \d+ at \d+: it read the step of another pass/,
  );
});

test("weights that reach the device in several pieces arrive whole", async () => {
  const bytes = 60 << 20;
  const offset = 20 << 20;
  const weights = new Uint8Array(bytes).map((_, i) => i >> 18);
  weights.set(testWeights(), offset);
  const large = await gpuBundle(
    [hip],
    (m) => {
      m.buffers.weights = bytes;
      for (const program of Object.values<GpuManifest>(m.programs))
        for (const { arguments: list } of [...program.body, ...program.head])
          for (const argument of list) if (argument.buffer === "weights") argument.offset = offset;
    },
    weights,
  );
  writeFileSync(path("large.gsi"), large);
  const result = await finish(path("check"), ["gpu", path("large.gsi"), "gfx942", "2"], environment());
  expect(result).toEqual({ code: 0, stdout: "", stderr: "" });
});

test.each(["hip", "cuda"])(
  "a program that uses %s itself keeps its device, and finds no error of gsic's",
  async (name) => {
    // The bundle's first code objects are for another device: their refusal is an error of the driver.
    const claims = name === "hip" ? { GSIC_MOCK_ARCHITECTURE: "gfx942" } : {};
    const result = await finish(
      path("check"),
      ["gpu-guest", path(`${name}.gsi`), name],
      environment({ GSIC_MOCK_DEVICES: "2", ...claims }),
    );
    expect(result).toEqual({ code: 0, stdout: "", stderr: "" });
    expect(account()).toMatchObject({ live_allocations: 0, devices: [0, expect.any(Number)] });
  },
);

test("GSIC_DEVICE names the device where a program does not", async () => {
  const two = { GSIC_MOCK_DEVICES: "2" };
  expect(await gpuRun("hip.gsi", { ...two, GSIC_DEVICE: "1" })).toMatchObject({ status: 0 });
  expect(account().devices).toEqual([0, expect.any(Number)]);
  expect(await gpuRun("hip.gsi", two)).toMatchObject({ status: 0 });
  expect(account().devices).toHaveLength(1);
  const none = await gpuRun("hip.gsi", { ...two, GSIC_DEVICE: "2" });
  expect(none).toMatchObject({ status: 3, step: "open" });
  expect(none.message).toContain("shows no device 2: it shows 2, numbered from 0");
  const wrong = await gpuRun("hip.gsi", { ...two, GSIC_DEVICE: "-1" });
  expect(wrong).toMatchObject({ status: 1, step: "open" });
  expect(wrong.message).toContain("GSIC_DEVICE: '-1' is no number of a GPU");
});

test("a bundle in a folder with a blank in its name runs", async () => {
  mkdirSync(path("a folder"), { recursive: true });
  copyFileSync(path("hip.gsi"), path("a folder/hip.gsi"));
  expect(await gpuRun("a folder/hip.gsi")).toEqual({ status: 0, step: "done", message: "" });
});

test("a code object of a version that the driver does not know is refused", async () => {
  writeFileSync(path("version.gsi"), await gpuBundle([{ ...hip, version: 6 }]));
  const newer = await gpuRun("version.gsi");
  expect(newer).toMatchObject({ status: 3, step: "open" });
  expect(newer.message).toContain("hipModuleLoadData: device kernel image is invalid");
  expect(await gpuRun("version.gsi", { GSIC_MOCK_CODE_OBJECT: "6" })).toMatchObject({ status: 0 });
});

test("a driver that the process has loaded already is used, in place of a second one", async () => {
  // As PyTorch's wheels have it: a library of their own, under the name of the system's.
  for (const folder of ["system", "wheel"]) {
    mkdirSync(path(folder), { recursive: true });
    const name = "libamdhip64.so.7";
    await build(path(`${folder}/${name}`), sources("mock-driver"), ["-shared", `-Wl,-soname,${name}`]);
  }
  const system = { GSIC_DRIVER: "", LD_LIBRARY_PATH: path("system") };
  expect(await gpuRun("hip.gsi", system)).toMatchObject({ status: 0 });
  const guest = { ...system, GSIC_CHECK_LOADED: path("wheel/libamdhip64.so.7") };
  expect(await gpuRun("hip.gsi", guest)).toEqual({ status: 0, step: "done", message: "" });
  // Each library that was tried is named with what was wrong.
  const none = await gpuRun("hip.gsi", { GSIC_DRIVER: "", LD_LIBRARY_PATH: path("none") });
  expect(none.message).toMatch(/libamdhip64\.so: cannot open.*libamdhip64\.so\.7: .*libamdhip64\.so\.6: /);
});

test("memory that runs out at any allocation is reported, and nothing leaks", async () => {
  const steps: string[] = [];
  for (let n = 1; ; n++) {
    const result = await gpuRun("hip.gsi", { GSIC_MOCK_FAIL_ALLOCATION: `${n}` });
    expect(account().live_allocations, `allocation ${n}`).toBe(0);
    if (result.status === 0) break;
    expect(result.status, result.message).toBe(4);
    expect(result.message).toMatch(/\d+ bytes are needed for|hipGraphInstantiateWithFlags/);
    steps.push(result.step);
  }
  // The ring, the way in, the weights; four buffers, staging, two graphs; a larger cache, its graphs. A cache of twice the
  // size that is refused is tried again as large as it must be.
  const expected = { open: 3, session: 7, evaluate: 3 };
  expect(steps).toEqual(Object.entries(expected).flatMap(([step, count]) => Array(count).fill(step)));
});

test("the KV cache of a session grows with its text", async () => {
  const block = 1 << 20;
  const large = (manifest: GpuManifest) => {
    manifest.buffers.cache = block;
  };
  writeFileSync(path("growing.gsi"), await gpuBundle([hip], large));
  const run = (blocks: number) =>
    gpuRun("growing.gsi", { GSIC_MOCK_MEMORY: String(blocks * block + (64 << 10)) });
  // A context has 16 blocks. 28 tokens take 7: four, then eight beside these four.
  expect(await run(12)).toEqual({ status: 0, step: "done", message: "" });
  // No twice as many, then not one more.
  const late = await run(10);
  expect(late).toMatchObject({ status: 4, step: "generate" });
  expect(late.message).toMatch(
    /6291456 bytes are needed for the KV cache of a session of 24 tokens, and .* free, \d+ too few/,
  );
  expect(await run(8)).toMatchObject({ status: 4, step: "evaluate" });
  expect(account().live_allocations).toBe(0);
});

test("too little memory is refused before anything is loaded, with figures", async () => {
  const weights = await gpuRun("hip.gsi", { GSIC_MOCK_MEMORY: "1000" });
  expect(weights).toMatchObject({ status: 4, step: "open" });
  expect(weights.message).toContain("1280 bytes are needed for the model's weights");
  expect(weights.message).toContain("1000 of its 1000 free, 280 too few");
  const session = await gpuRun("cuda.gsi", { GSIC_MOCK_MEMORY: "5000" });
  expect(session).toMatchObject({ status: 4, step: "session" });
  expect(session.message).toMatch(
    /\d+ bytes are needed for a session, .*KV cache, and .* has 3720 of its 5000 free, \d+ too few: .*shorter/,
  );
  expect(account().live_allocations).toBe(0);
});

test("whatever is missing is named, with status GSIC_NO_DEVICE", async () => {
  const cases: [string, Record<string, string>, RegExp][] = [
    [
      "hip.gsi",
      { GSIC_DRIVER: path("none.so") },
      /AMD's driver \(HIP\) cannot be opened: .*none\.so.*install ROCm/,
    ],
    ["cuda.gsi", { GSIC_DRIVER: path("none.so") }, /NVIDIA's driver \(CUDA\) cannot be opened/],
    [
      "hip.gsi",
      { GSIC_DRIVER: path("gpu_kernels.so") },
      /lacks hipInit, hipGetDeviceCount, .*hipGetErrorString: it/,
    ],
    [
      "cuda.gsi",
      { GSIC_DRIVER: path("gpu_kernels.so") },
      /lacks cuInit, .*cuMemAlloc_v2.*cuGetErrorString: it/,
    ],
    ["hip.gsi", { GSIC_MOCK_DEVICES: "0" }, /opens no device: hipInit: no GPU is detected \(100\)/],
    [
      "hip.gsi",
      { GSIC_MOCK_ARCHITECTURE: "gfx950" },
      /has: gfx90a \(.*built for gfx90a: hipModuleLoadData: no kernel image .*\(209\)\), gfx942 \(.*\); build/,
    ],
    ["cuda.gsi", { GSIC_MOCK_ARCHITECTURE: "sm_80" }, /built for sm_90: cuModuleLoadData: no kernel image/],
  ];
  for (const [bundle, more, message] of cases) {
    const result = await gpuRun(bundle, more);
    expect(result, result.message).toMatchObject({ status: 3, step: "open" });
    expect(result.message).toMatch(message);
  }
});

test("a device that is lost after any launch is reported again and again, and can be closed", async () => {
  const total = (2 + 8) * launches.body + (1 + 8) * launches.head;
  for (const name of ["hip.gsi", "cuda.gsi"])
    for (const after of [1, 3, 4, 6, 8, 9, 15, total]) {
      const result = await gpuRun(name, { GSIC_MOCK_LOSE_AFTER: `${after}` });
      expect(result, result.message).toMatchObject({
        status: 11,
        step: after <= 8 ? "evaluate" : "generate",
      });
      expect(result.message).toMatch(
        /^(hip|cu)\w+ on gsic mock driver: unspecified launch failure.*close the model and open it again/,
      );
      expect(account()).toMatchObject({ live_allocations: 0, launches: after });
    }
  // The loss that nobody asks for goes unseen.
  expect(await gpuRun("hip.gsi", { GSIC_MOCK_LOSE_AFTER: `${total + 1}` })).toMatchObject({ status: 0 });
});

test("a driver that cannot capture, and kernels that fail, are errors", async () => {
  const uncaptured = await gpuRun("hip.gsi", { GSIC_MOCK_CAPTURE: "0" });
  expect(uncaptured).toMatchObject({ status: 11, step: "session" });
  expect(uncaptured.message).toContain("hipStreamBeginCapture");
  const cases: [(m: GpuManifest) => void, number, string][] = [
    [(m) => m.programs.bounded.body.push({ kernel: 6, arguments: two("weights") }), 11, "out of bounds"],
    [(m) => (m.kernels[0].launch.threads = 128), 11, "another number of threads"],
    [(m) => (m.kernels[0].launch.threads = 96), 3, "waves of 64 lanes"],
    [(m) => (m.kernels[0].symbol = "test_none"), 2, "lacks the kernel 'test_none'"],
    [(m) => m.programs.bounded.head.splice(1, 0, { kernel: 4, arguments: nan(m) }), 10, "not all finite"],
  ];
  for (const [change, status, message] of cases) {
    writeFileSync(path("bad.gsi"), await gpuBundle([hip], change));
    const { code, stdout } = await finish(path("check"), ["gpu-run", path("bad.gsi")], environment());
    expect(code).toBe(0);
    expect(stdout).toMatch(new RegExp(`^${status} .*${message}`));
    expect(account().live_allocations).toBe(0);
  }
});

const two = (buffer: string) => [
  { buffer: "step", offset: 0, bytes: 272 },
  { buffer, offset: 0, bytes: 4 },
];
const nan = (m: GpuManifest) => [
  { buffer: "step", offset: 0, bytes: 272 },
  { buffer: "arena", offset: m.programs.exact.logits.offset, bytes: 4096 },
];

test("a manifest that lies about code or launches is refused, with the key", async () => {
  const cases: [GpuTarget, string, (m: GpuManifest) => void][] = [
    [
      hip,
      "kernels[0].launch.threads is 65, expected a multiple of 32",
      (m) => (m.kernels[0].launch.threads = 65),
    ],
    [hip, "kernels[0].launch.threads is 1056", (m) => (m.kernels[0].launch.threads = 1056)],
    [hip, "kernels[1].launch.lds is 163841", (m) => (m.kernels[1].launch.lds = 163841)],
    [hip, "kernels[1].launch.maxWorkgroups is 0", (m) => (m.kernels[1].launch.maxWorkgroups = 0)],
    [hip, "kernels[1].launch.perUnit is 0", (m) => (m.kernels[1].launch.perUnit = 0)],
    [hip, "kernels[1].launch does not fit targets[0].device", (m) => (m.kernels[1].launch = null)],
    [hip, "targets[0].code is not a list", (m) => (m.targets[0].code = null)],
    [hip, "targets[0].code has 7 entries, expected one for each of 8", (m) => m.targets[0].code.pop()],
    [
      hip,
      "targets[0].code[1].offset is 4097, expected a multiple of 4096",
      (m) => m.targets[0].code[1].offset++,
    ],
    [hip, "targets[0].code[1].offset is 4096, expected", (m) => (m.targets[0].code[0].bytes = 4097)],
    [
      hip,
      "targets[0].code[7] of 4097 bytes at 28672 is not inside",
      (m) => (m.targets[0].code[7].bytes = 4097),
    ],
    [cuda, "targets[0].code[2] does not end with a NUL", (m) => m.targets[0].code[2].bytes--],
  ];
  for (const [target, message, change] of cases) {
    writeFileSync(path("lie.gsi"), await gpuBundle([target], change));
    const result = await gpuRun("lie.gsi");
    expect(result, result.message).toMatchObject({ status: 2, step: "open" });
    expect(result.message).toContain(message);
  }
});
