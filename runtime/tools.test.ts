import { spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { buildRuntime } from "../compiler/cc/index.js";
import { omegaOf } from "../compiler/testing/sketch.js";
import { table, testBundle, vocabulary } from "./testing/bundle.js";
import { gpuBundle } from "./testing/gpu-bundle.js";
import { buildKernels, finish } from "./testing/native.js";

const folder = mkdtempSync(join(tmpdir(), "gsic-tools-"));
const path = (name: string): string => join(folder, name);
const width = 8;
const ids = Array.from({ length: 500 }, (_, i) => (i * i * 3 + i * 5) % vocabulary);

interface Tensor {
  readonly dtype: string;
  readonly shape: number[];
  readonly values: number[];
}

/** The tensors and the metadata of a small .safetensors file. */
function readTensors(file: string): { tensors: Record<string, Tensor>; metadata: Record<string, string> } {
  const bytes = readFileSync(file);
  const start = 8 + Number(bytes.readBigUInt64LE(0));
  const { __metadata__: metadata, ...header } = JSON.parse(bytes.toString("utf8", 8, start));
  const tensors: Record<string, Tensor> = {};
  for (const [name, { dtype, shape, data_offsets }] of Object.entries<{
    dtype: string;
    shape: number[];
    data_offsets: [number, number];
  }>(header)) {
    const data = new Uint8Array(bytes.subarray(start + data_offsets[0], start + data_offsets[1])).buffer;
    const arrays: Record<string, () => number[]> = {
      F32: () => [...new Float32Array(data)],
      F64: () => [...new Float64Array(data)],
      I64: () => [...new BigInt64Array(data)].map(Number),
      U8: () => [...new Uint8Array(data)],
    };
    tensors[name] = { dtype, shape, values: arrays[dtype]!() };
  }
  return { tensors, metadata };
}

/** Runs a subcommand that must succeed. */
async function tool(...args: string[]): Promise<{ stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await finish(path("gsic-tool"), args);
  expect(code, stderr).toBe(0);
  return { stdout, stderr };
}

/** Rows of y (kernels.cpp) of one sequence. */
function hidden(tokens: readonly number[]): number[][] {
  const rows: number[][] = [];
  for (const token of tokens) {
    const last = rows.at(-1) ?? Array(width).fill(0);
    rows.push(last.map((value: number, i: number) => value / 2 + table(token, i)));
  }
  return rows;
}

const logitsOf = (y: readonly number[]): number[] =>
  Array.from({ length: vocabulary }, (_, v) => y.reduce((sum, value, i) => sum + value * table(v, i), 0));

/** Where the windows of a text begin and end. */
const windows = (size: number): number[][] =>
  Array.from({ length: Math.ceil(ids.length / size) }, (_, i) => ids.slice(i * size, (i + 1) * size));

function expectClose(found: readonly number[], expected: readonly number[], tolerance: number): void {
  expect(found).toHaveLength(expected.length);
  found.forEach((value, i) => {
    expect(Math.abs(value - expected[i]!), `entry ${i}: ${value}, ${expected[i]}`).toBeLessThan(tolerance);
  });
}

beforeAll(async () => {
  await buildKernels(path("kernels.so"));
  writeFileSync(path("model.gsi"), await testBundle(readFileSync(path("kernels.so"))));
  writeFileSync(path("ids.bin"), Int32Array.from(ids));
  writeFileSync(path("short.bin"), Int32Array.from(ids.slice(0, 40)));
  copyFileSync(await buildRuntime("tool"), path("gsic-tool"));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("logits writes every row", async () => {
  const { stderr } = await tool(
    "logits",
    path("model.gsi"),
    "--ids-file",
    path("short.bin"),
    "--out",
    path("l"),
  );
  expect(stderr.trim().split("\n").at(-1)).toBe('{"progress":40,"total":40}');
  const logits = readTensors(path("l")).tensors.logits!;
  expect(logits.shape).toEqual([40, vocabulary]);
  expectClose(logits.values, hidden(ids.slice(0, 40)).flatMap(logitsOf), 1e-6);
});

test("evaluate compares the modes per predicted token", async () => {
  await tool(
    "evaluate",
    path("model.gsi"),
    "--ids-file",
    path("ids.bin"),
    "--window",
    "33",
    "--out",
    path("e"),
  );
  const { tensors, metadata } = readTensors(path("e"));
  const nll = windows(33).flatMap((tokens) =>
    hidden(tokens)
      .slice(0, -1)
      .map((y, i) => {
        const logits = logitsOf(y);
        return Math.log(logits.reduce((sum, value) => sum + Math.exp(value), 0)) - logits[tokens[i + 1]!]!;
      }),
  );
  expectClose(tensors.nll_exact!.values, nll, 1e-5);
  expectClose(tensors.nll!.values, nll, 1e-5);
  expectClose(tensors.kl!.values, Array(nll.length).fill(0), 1e-12);
  expect(tensors.same_top1!.values.every((same) => same === 1)).toBe(true);
  expect(tensors["gates:bounded"]).toEqual({ dtype: "I64", shape: [1, 2], values: [nll.length, 0] });
  expect(tensors.seconds!.values).toHaveLength(2);
  expect(metadata).toEqual({ modes: '["bounded"]', gates: '[["x"]]' });
});

test("evaluate keeps the exact mode's logits, and reads them in place of running it", async () => {
  const reference = path("reference");
  const evaluate = async (out: string, ...more: string[]) => {
    const files = ["--ids-file", path("ids.bin"), "--out", path(out), "--reference", reference];
    await tool("evaluate", path("model.gsi"), "--window", "33", ...files, ...more);
    return readTensors(path(out)).tensors;
  };
  const { seconds: _, ...first } = await evaluate("kept");
  const rows = first.nll_exact!.values.length;
  const kept = readFileSync(reference);
  expect(kept.length).toBe(4 * rows * vocabulary);
  const { seconds: __, ...second } = await evaluate("again");
  expect(second).toEqual(first);
  // Other logits in the file: it is they that the mode is compared with.
  const changed = new Float32Array(kept.length / 4);
  writeFileSync(reference, changed);
  const uniform = await evaluate("uniform");
  expectClose(uniform.nll_exact!.values, Array(rows).fill(Math.log(vocabulary)), 1e-6);
  expect(uniform.nll).toEqual(first.nll);
  writeFileSync(reference, kept.subarray(4));
  await expect(evaluate("short")).rejects.toThrow(/another size/);
});

test("calibrate gathers moments, and sketches them", async () => {
  const args = ["calibrate", path("model.gsi"), "--ids-file", path("ids.bin"), "--window", "50"];
  await tool(...args, "--out", path("c"), "--meta", "model=abc", "--threads", "2");
  await tool(...args, "--out", path("c1"), "--meta", "model=abc", "--threads", "1");
  expect(readFileSync(path("c"))).toEqual(readFileSync(path("c1")));
  await tool(...args, "--out", path("s"), "--exact-bytes", "0", "--sketch-width", "5");
  const { tensors, metadata } = readTensors(path("c"));
  const sketched = readTensors(path("s")).tensors;
  expect(metadata).toEqual({ model: "abc" });
  const values = {
    x: ids.map((id) => Array.from({ length: width }, (_, i) => table(id, i))),
    y: windows(50).flatMap(hidden),
  };
  for (const [name, rows] of Object.entries(values)) {
    const mean = (of: (row: number[]) => number) => rows.reduce((sum, row) => sum + of(row), 0) / rows.length;
    const each = Array.from({ length: width }, (_, i) => i);
    const moment = each.flatMap((i) => each.map((j) => mean((row) => row[i]! * row[j]!)));
    expect(tensors[`${name}.count`]).toEqual({ dtype: "I64", shape: [1], values: [ids.length] });
    expectClose(
      tensors[`${name}.mean`]!.values,
      each.map((i) => mean((row) => row[i]!)),
      1e-6,
    );
    expectClose(
      tensors[`${name}.mean_squared_norm`]!.values,
      [each.reduce((sum, i) => sum + moment[i * width + i]!, 0)],
      1e-6,
    );
    expect(tensors[`${name}.second_moment`]!.shape).toEqual([width, width]);
    expectClose(tensors[`${name}.second_moment`]!.values, moment, 1e-5);
    const seed = sketched[`${name}.sketch.seed`]!;
    expect(seed).toEqual({ dtype: "I64", shape: [1], values: [0x67736963] });
    const omega = omegaOf(seed.values[0]!, width, 5);
    expect(sketched[`${name}.sketch.product`]!.shape).toEqual([width, 5]);
    const product = each.flatMap((i) =>
      [0, 1, 2, 3, 4].map((l) =>
        each.reduce((sum, j) => sum + moment[i * width + j]! * omega[j * 5 + l]!, 0),
      ),
    );
    expectClose(sketched[`${name}.sketch.product`]!.values, product, 1e-4);
  }
});

test("inputs keeps vectors of evenly spaced predicted tokens", async () => {
  const args = ["inputs", path("model.gsi"), "--ids-file", path("ids.bin"), "--window", "33"];
  const { stderr } = await tool(...args, "--most", "7", "--out", path("i"), "--meta", "model=abc");
  expect(stderr.trim().split("\n").at(-1)).toBe('{"progress":500,"total":500}');
  const predicted = ids.map((_, at) => at).filter((at) => at % 33 !== 32 && at !== ids.length - 1);
  const rows = {
    x: ids.map((id) => Array.from({ length: width }, (_, i) => table(id, i))),
    y: windows(33).flatMap(hidden),
  };
  for (const [file, count] of [
    ["i", 7],
    ["all", predicted.length],
  ] as const) {
    if (file === "all") await tool(...args, "--most", "10000", "--out", path("all"), "--threads", "1");
    const wanted = Array.from(
      { length: count },
      (_, i) => predicted[Math.floor(((2 * i + 1) * predicted.length) / (2 * count))]!,
    );
    const { tensors, metadata } = readTensors(path(file));
    expect(JSON.parse(metadata.positions!)).toEqual(wanted);
    expect(metadata.model).toBe(file === "i" ? "abc" : undefined);
    expect(Object.keys(tensors)).toEqual(["x", "y"]);
    for (const [name, all] of Object.entries(rows)) {
      expect(tensors[name]!.shape).toEqual([count, width]);
      expectClose(
        tensors[name]!.values,
        wanted.flatMap((at) => all[at]!),
        1e-6,
      );
    }
  }
});

test("sample repeats with its seed, and bench prints one document", async () => {
  const args = ["sample", path("model.gsi"), "--count", "3", "--tokens", "20"];
  for (const [out, seed] of [
    ["a", "1"],
    ["b", "1"],
    ["d", "2"],
  ] as const)
    await tool(...args, "--seed", seed, "--out", path(out));
  expect(readFileSync(path("a"))).toHaveLength(240);
  expect(readFileSync(path("a"))).toEqual(readFileSync(path("b")));
  expect(readFileSync(path("a"))).not.toEqual(readFileSync(path("d")));
  const { stdout } = await tool(
    "bench",
    path("model.gsi"),
    "--tokens",
    "8",
    "--repeat",
    "2",
    "--threads",
    "2",
  );
  const document = JSON.parse(stdout);
  expect(document).toMatchObject({
    threads: 2,
    tokens: 8,
    modes: { exact: { bytes_per_token: 1280 }, bounded: {} },
  });
  expect(document.read_ceiling_bytes_per_second.median).toBeGreaterThan(1e8);
});

/** Answers of `linalg`: the header, and as many f32 as asked for if it is ok. */
function linalg(
  requests: { header: object; data: number[]; answer: number }[],
): { header: { ok: boolean }; data: number[] }[] {
  const input = requests.flatMap(({ header, data }) => [
    Buffer.from(`${JSON.stringify(header)}\n`),
    Buffer.from(Float32Array.from(data).buffer),
  ]);
  const { stdout, status, stderr } = spawnSync(path("gsic-tool"), ["linalg"], {
    input: Buffer.concat(input),
  });
  expect(status, stderr.toString()).toBe(0);
  let at = 0;
  return requests.map(({ answer }) => {
    const end = stdout.indexOf(10, at);
    const header = JSON.parse(stdout.toString("utf8", at, end));
    const bytes = header.ok ? 4 * answer : 0;
    const data = [...new Float32Array(new Uint8Array(stdout.subarray(end + 1, end + 1 + bytes)).buffer)];
    at = end + 1 + bytes;
    return { header, data };
  });
}

test("linalg: eigenvectors, Nystrom, products, and refusals", async () => {
  const d = 12;
  const l = 6;
  // Rank 4: eigenvalues 8, 4, 2, 1 on orthonormal cosines.
  const basis = [1, 2, 3, 4].map((m) =>
    Array.from({ length: d }, (_, i) => Math.sqrt(2 / d) * Math.cos((Math.PI * m * (i + 0.5)) / d)),
  );
  const each = Array.from({ length: d }, (_, i) => i);
  const c = each.flatMap((i) =>
    each.map((j) => basis.reduce((sum, v, m) => sum + (8 / 2 ** m) * v[i]! * v[j]!, 0)),
  );
  const seed = 5;
  const omega = omegaOf(seed, d, l);
  const y = each.flatMap((i) =>
    Array.from({ length: l }, (_, q) => each.reduce((sum, j) => sum + c[i * d + j]! * omega[j * l + q]!, 0)),
  );
  const a = [1, 2, 3, 4, 5, 6];
  const b = [1, 0, 2, 0, 1, -1];
  const answers = linalg([
    { header: { op: "eigh", d, k: 4 }, data: c, answer: 4 + 4 * d },
    { header: { op: "nystrom", d, l, k: 4, seed }, data: y, answer: 4 + 4 * d },
    { header: { op: "sketch", d, l, seed }, data: c, answer: d * l },
    { header: { op: "captured", d, k: 4 }, data: [...c, ...basis.flat()], answer: 4 },
    { header: { op: "eigh", d: 2, k: 1 }, data: [Number.NaN, 0, 0, 1], answer: 3 },
    { header: { op: "matmul", m: 2, k: 3, n: 2 }, data: [...a, ...b], answer: 4 },
    {
      header: { op: "matmul", m: 2, k: 3, n: 2, transpose_a: true, transpose_b: true },
      data: [...a, ...b],
      answer: 4,
    },
  ]);
  for (const { header, data } of answers.slice(0, 2)) {
    expect(header.ok).toBe(true);
    expectClose(data.slice(0, 4), [8, 4, 2, 1], 2e-3);
    basis.forEach((v, m) => {
      const dot = v.reduce((sum, value, i) => sum + value * data[4 + m * d + i]!, 0);
      expect(Math.abs(dot)).toBeCloseTo(1, 4);
    });
  }
  expectClose(answers[2]!.data, y, 1e-5);
  expectClose(answers[3]!.data, [8, 4, 2, 1], 1e-5);
  expect(answers[4]!.header).toMatchObject({
    ok: false,
    error: expect.stringContaining("no finite numbers"),
  });
  expect(answers[5]!.data).toEqual(product(a, b, false));
  expect(answers[6]!.data).toEqual(product(a, b, true));
});

/** [2, 3] x [3, 2], or the transposes of [3, 2] and [2, 3]. */
function product(a: number[], b: number[], transposed: boolean): number[] {
  return [0, 1].flatMap((i) =>
    [0, 1].map((j) =>
      [0, 1, 2].reduce(
        (sum, k) => sum + (transposed ? a[k * 2 + i]! * b[j * 3 + k]! : a[i * 3 + k]! * b[k * 2 + j]!),
        0,
      ),
    ),
  );
}

test("a command line or a file that is wrong is refused", async () => {
  const model = path("model.gsi");
  const text = ["--ids-file", path("ids.bin")];
  writeFileSync(path("bad.bin"), Int32Array.from([1, vocabulary, 2]));
  writeFileSync(path("one.bin"), Int32Array.from([1]));
  const cases: [string[], number, string][] = [
    [[], 2, "give one of"],
    [["logits"], 2, "--ids-file is missing"],
    [["logits", model, "--ids-file", path("ids.bin"), "--out", path("x")], 2, "500 tokens do not fit"],
    [["logits", model, "--ids-file", path("bad.bin"), "--out", path("x")], 2, "id 40"],
    [["logits", model, "--ids-file", path("none"), "--out", path("x")], 3, "cannot be read"],
    [["logits", model, "--ids-file", path("short.bin"), "--out", "/nowhere/x"], 4, "cannot be written"],
    [["evaluate", model, "--ids-file", path("bad.bin"), "--window", "3", "--out", path("x")], 2, "id 40"],
    [
      ["calibrate", model, "--ids-file", path("ids.bin"), "--window", "65", "--out", path("x")],
      2,
      "--window",
    ],
    [["inputs", model, ...text, "--window", "1", "--most", "3", "--out", path("x")], 2, "--window"],
    [["inputs", model, ...text, "--window", "9", "--most", "0", "--out", path("x")], 2, "--most"],
    [
      ["inputs", model, ...text, "--window", "9", "--most", "3", "--out", "/nowhere/x"],
      4,
      "cannot be written",
    ],
    [
      ["inputs", model, "--ids-file", path("bad.bin"), "--window", "9", "--most", "3", "--out", path("x")],
      2,
      "id 40",
    ],
    [
      ["inputs", model, "--ids-file", path("one.bin"), "--window", "9", "--most", "3", "--out", path("x")],
      2,
      "predicts nothing",
    ],
    [["linalg", "--threads", "-1"], 2, "--threads"],
    [["launches", model, "--jobs", path("none")], 2, "no kernel 'gsic_read'"],
  ];
  for (const [args, expected, message] of cases) {
    const { code, stderr } = await finish(path("gsic-tool"), args);
    expect(code, stderr).toBe(expected);
    const { error } = JSON.parse(stderr.trim().split("\n").at(-1)!) as {
      error: Record<string, string | null>;
    };
    expect(Object.keys(error)).toEqual(["code", "category", "message", "where", "hint"]);
    expect(error.category).toBe(["defect", "usage", "data", "environment"][expected - 1]);
    expect(Object.values(error).join("\n")).toContain(message);
    expect(error.where).not.toBe("");
    if (message === "cannot be written") {
      expect(error).toMatchObject({ code: "output-unwritable", where: args.at(-1) });
      expect(error.hint).toContain("has room");
    }
  }
  expect((await finish("ls", [folder])).stdout).not.toContain("partial");
});

test("on a GPU results are the CPU's, and what cannot be measured is null", async () => {
  await buildKernels(path("gpu_kernels.so"), "gpu_kernels");
  writeFileSync(path("gpu.gsi"), await gpuBundle([{ device: "cuda", architecture: "sm_90" }]));
  const environment = {
    GSIC_DRIVER: await buildRuntime("mock-driver"),
    GSIC_MOCK_KERNELS: path("gpu_kernels.so"),
  };
  const onGpu = async (...args: string[]) => {
    const { code, stdout, stderr } = await finish(path("gsic-tool"), args, environment);
    expect(code, stderr).toBe(0);
    return stdout;
  };
  const text = ["--ids-file", path("ids.bin"), "--window", "50"];
  for (const [command, file, ...same] of [
    ["logits", "short.bin", "logits"],
    ["evaluate", "ids.bin", "nll_exact", "kl", "same_top1"],
    ["calibrate", "ids.bin", "x.second_moment", "y.second_moment", "y.count"],
  ]) {
    const args = command === "logits" ? ["--ids-file", path(file!)] : text;
    await tool(command!, path("model.gsi"), ...args, "--out", path("cpu"));
    await onGpu(command!, path("gpu.gsi"), ...args, "--out", path("gpu"));
    const [cpu, gpu] = [readTensors(path("cpu")).tensors, readTensors(path("gpu")).tensors];
    for (const name of same) expect(gpu[name], name).toEqual(cpu[name] ?? "absent");
  }
  const measured = JSON.parse(await onGpu("bench", path("gpu.gsi"), "--repeat", "1", "--tokens", "8"));
  expect(measured).toMatchObject({
    target: "sm_90",
    threads: 2,
    read_ceiling_bytes: null,
    read_ceiling_bytes_per_second: null,
    seconds_per_empty_launch: null,
  });
  expect(measured.modes.exact.share_of_ceiling).toBeNull();
  expect(measured.modes.exact.decode_tokens_per_second.median).toBeGreaterThan(0);
});
