import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  addDrafting,
  testBundle,
  testManifest,
  testWeights,
  vocabulary,
  writeBundle,
} from "./testing/bundle.js";
import { build, buildKernels, finish, sources } from "./testing/native.js";

const sizeVectors = join(import.meta.dirname, "testing/size-vectors.json");
const folder = mkdtempSync(join(tmpdir(), "gsic-runtime-"));
const path = (name: string): string => join(folder, name);

let code: Uint8Array;
let good: Uint8Array;

/** A call of one linear that a manifest may have. */
const linearCall = {
  input: "x",
  linears: [{ name: "y", tensor: "table", first: 0, out: 4, column: 4, bias: false }],
  x: { offset: 0, width: 8, stride: 32 },
  y: { offset: 2048, width: 8, stride: 32 },
  launches: [],
};

/** Runs `check`; the status and the message of each bundle that it opened. */
async function openings(...args: string[]): Promise<{ status: number; message: string }[]> {
  const { code, stdout, stderr } = await finish(path("check"), args);
  expect(code, stderr).toBe(0);
  return stdout
    .trimEnd()
    .split("\n")
    .map((line) => ({
      status: Number(line.slice(0, line.indexOf(" "))),
      message: line.slice(line.indexOf(" ") + 1),
    }));
}

/** Writes bundles, and opens each. */
async function openAll(files: readonly Uint8Array[]): Promise<{ status: number; message: string }[]> {
  const names = files.map((_, i) => path(`bad-${i}.gsi`));
  names.forEach((name, i) => {
    writeFileSync(name, files[i]!);
  });
  return openings("open", ...names);
}

beforeAll(async () => {
  await buildKernels(path("kernels.so"));
  code = readFileSync(path("kernels.so"));
  good = await testBundle(code);
  writeFileSync(path("good.gsi"), good);
  const checks = sources("testing").filter((file) => !file.endsWith("kernels.cpp"));
  await build(path("check"), [...sources("src"), ...checks]);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("a good bundle runs: results, limits, generation, threads, sampling", async () => {
  expect(await finish(path("check"), ["run", path("good.gsi")])).toEqual({ code: 0, stdout: "", stderr: "" });
});

test("beside busy programs the number of workers is chosen by what is measured, and logits are the same", async () => {
  const fine = { code: 0, stdout: "", stderr: "" };
  expect(await finish(path("check"), ["threads", path("good.gsi")])).toEqual(fine);
});

test("a process that was forked, and one whose bundle is cut, get errors: they neither hang nor die", async () => {
  const fine = { code: 0, stdout: "", stderr: "" };
  expect(await finish(path("check"), ["fork", path("good.gsi")])).toEqual(fine);
  expect(await finish(path("check"), ["cut", path("good.gsi"), path("cut.gsi")])).toEqual(fine);
});

test("drafting changes no token, no distribution and no cache, and both accepts and rejects", async () => {
  writeFileSync(path("drafting.gsi"), await testBundle(code, addDrafting));
  expect(await finish(path("check"), ["drafting", path("drafting.gsi")])).toEqual({
    code: 0,
    stdout: "",
    stderr: "",
  });
});

test("requests in company write what they write alone, bit for bit, with blocks shared, evicted and taken away", async () => {
  writeFileSync(path("drafting.gsi"), await testBundle(code, addDrafting));
  for (const bundle of ["good.gsi", "drafting.gsi"])
    expect(await finish(path("check"), ["batch", path(bundle)])).toEqual({ code: 0, stdout: "", stderr: "" });
});

test("a cache that was kept gives the same bits, and nothing but a whole file of the same build and mode is read", async () => {
  writeFileSync(path("drafting.gsi"), await testBundle(code, addDrafting));
  const fine = { code: 0, stdout: "", stderr: "" };
  const run = (...bundles: string[]) => finish(path("check"), ["cache", ...bundles.map(path), path("kept")]);
  expect(await run("good.gsi", "drafting.gsi")).toEqual(fine);
  expect(await run("drafting.gsi", "good.gsi")).toEqual(fine);
  expect(readdirSync(folder).filter((name) => name.startsWith("kept"))).toEqual(["kept"]);
});

test("sizes are exact or refused, by the vectors that the TypeScript reader is tested with", async () => {
  const { code, stdout, stderr } = await finish(path("check"), ["sizes", sizeVectors]);
  expect(code, stderr).toBe(0);
  const lists = JSON.parse(readFileSync(sizeVectors, "utf8")) as Record<string, unknown>;
  const count = Object.values(lists).reduce(
    (sum: number, one) => sum + (Array.isArray(one) ? one.length : 0),
    0,
  );
  expect(stdout).toBe(`${count} vectors\n`);
});

test("a changed bit anywhere is refused, with the place", async () => {
  const view = new DataView(good.buffer, good.byteOffset);
  const ranges: [number, number][] = [[0, 32 + 3 * 64]];
  let end = 32 + 3 * 64;
  for (let i = 0; i < 3; i++) {
    const offset = Number(view.getBigUint64(32 + 64 * i + 32, true));
    const bytes = Number(view.getBigUint64(32 + 64 * i + 40, true));
    ranges.push([end, end + 2], [offset - 2, offset + 3]);
    end = offset + bytes;
    ranges.push([end - 2, end]);
  }
  ranges.push([end, end + 2], [good.length - 2, good.length]);
  for (const [from, to] of ranges) {
    const results = await openings("damage", path("good.gsi"), path("damaged.gsi"), `${from}`, `${to}`);
    expect(results).toHaveLength(to - from);
    for (const { status, message } of results) {
      expect(status, message).toBe(2);
      expect(message).toMatch(/damaged\.gsi: byte \d+: .+/);
    }
  }
});

test("a file that ends too early, or too late, is refused", async () => {
  const lengths = new Set([1, 7, 8, 31, 32, 33, good.length - 1]);
  for (let at = 32; at <= 32 + 3 * 64; at += 64) for (const by of [-1, 0, 1]) lengths.add(at + by);
  for (let at = 4096; at < good.length; at += 4096) for (const by of [-1, 0, 1]) lengths.add(at + by);
  const longer = new Uint8Array(good.length + 4096);
  longer.set(good);
  const files = [...lengths].map((length) => good.slice(0, length));
  for (const { status, message } of await openAll([...files, new Uint8Array(0), longer])) {
    expect(status, message).toBe(2);
    expect(message).toMatch(/\.gsi: byte \d+: .+/);
  }
});

test("files that are no bundle are refused", async () => {
  const results = await openings("open", folder, path("none.gsi"), path("kernels.so"), "/dev/zero");
  expect(results.map((result) => result.status)).toEqual([9, 9, 2, 9]);
  expect(results[0]!.message).toContain("not a regular file");
  expect(results[2]!.message).toContain("byte 0");
});

// biome-ignore lint/suspicious/noExplicitAny: changes to JSON of every shape
type Change = (manifest: Record<string, any>) => void;

test("a manifest that lies is refused, with the key", async () => {
  const cases: [string, Change][] = [
    [
      "manifest.abi is 3",
      (m) => {
        m.abi = 3;
      },
    ],
    [
      "manifest.format is 1",
      (m) => {
        m.format = 1;
      },
    ],
    [
      "manifest.columns is 8",
      (m) => {
        m.columns = 8;
      },
    ],
    [
      "manifest.vocabulary is -1",
      (m) => {
        m.vocabulary = -1;
      },
    ],
    [
      "manifest.context is 1.5",
      (m) => {
        m.context = 1.5;
      },
    ],
    [
      "manifest.context is 0",
      (m) => {
        m.context = 0;
      },
    ],
    [
      "manifest.name is missing",
      (m) => {
        delete m.name;
      },
    ],
    [
      "manifest.kernels is not a list",
      (m) => {
        m.kernels = "test_embed";
      },
    ],
    [
      "kernels is empty",
      (m) => {
        m.kernels = [];
      },
    ],
    [
      "lacks the kernel 'no_such'",
      (m) => {
        m.kernels.push({ ...m.kernels[0], symbol: "no_such" });
      },
    ],
    [
      "targets is empty",
      (m) => {
        m.targets = [];
      },
    ],
    [
      "there is no section 'nowhere'",
      (m) => {
        m.targets[1].section = "nowhere";
      },
    ],
    [
      "programs.bounded.body[0].kernel is 5",
      (m) => {
        m.programs.bounded.body[0].kernel = 5;
      },
    ],
    [
      "programs.bounded.body[0].kernel is 4294967296",
      (m) => {
        m.programs.bounded.body[0].kernel = 2 ** 32;
      },
    ],
    [
      "body[1].arguments[2] of 128 bytes at 4 is not inside the buffer 'cache' of 128 bytes",
      (m) => {
        m.programs.exact.body[1].arguments[2].offset = 4;
      },
    ],
    [
      "body[1].arguments[2] of 17592186044416 bytes at 128 is not inside",
      (m) => {
        Object.assign(m.programs.exact.body[1].arguments[2], { offset: 128, bytes: 2 ** 44 });
      },
    ],
    [
      "body[1].arguments[2].bytes is 0",
      (m) => {
        m.programs.exact.body[1].arguments[2].bytes = 0;
      },
    ],
    [
      "context is 65, but tables end at position 64",
      (m) => {
        m.context = 65;
      },
    ],
    [
      "tablePositions is missing",
      (m) => {
        delete m.tablePositions;
      },
    ],
    [
      "cacheBlock is 8 positions of 32 bytes, but a block has 128 bytes",
      (m) => {
        m.cacheBlock = 8;
      },
    ],
    [
      "cacheBlock is 4 positions of 33 bytes, but a block has 128 bytes",
      (m) => {
        m.cacheBytesPerToken = 33;
      },
    ],
    [
      "cacheBytesPerToken is missing",
      (m) => {
        delete m.cacheBytesPerToken;
      },
    ],
    // What the C library has, what is no function, and what the image does not show.
    ...["system", "exit", "cos", "gsic_code_features", "_DYNAMIC", "_ZN12_GLOBAL__N_110kVocabularyE"].map(
      (symbol): [string, Change] => [
        `lacks the kernel '${symbol}'`,
        (m) => {
          m.kernels.push({ ...m.kernels[0], symbol });
        },
      ],
    ),
    [
      "body[1].arguments[2].buffer names no buffer",
      (m) => {
        m.programs.exact.body[1].arguments[2].buffer = "heap";
      },
    ],
    [
      "head[0].arguments has 0 entries, but the kernel 'test_head' takes 4",
      (m) => {
        m.programs.exact.head[0].arguments = [];
      },
    ],
    [
      "targets[0].device is 'gpu', expected cpu, hip or cuda",
      (m) => {
        m.targets[0].device = "gpu";
      },
    ],
    [
      "targets[0].code is not null",
      (m) => {
        m.targets[0].code = [];
      },
    ],
    [
      "targets[0].architecture is missing",
      (m) => {
        delete m.targets[0].architecture;
      },
    ],
    [
      "kernels[0].launch does not fit targets[0].device, which is 'cpu'",
      (m) => {
        m.kernels[0].launch = { threads: 64, lds: 0, maxWorkgroups: 1, perUnit: 1 };
      },
    ],
    [
      "kernels[1].launch is missing",
      (m) => {
        delete m.kernels[1].launch;
      },
    ],
    [
      "kernels[0] is not an object",
      (m) => {
        m.kernels[0] = "test_embed";
      },
    ],
    [
      "kernels[0].symbol holds a control character",
      (m) => {
        m.kernels[0].symbol = "a\0b";
      },
    ],
    [
      "kernels[0].symbol is not the name of a function",
      (m) => {
        m.kernels[0].symbol = "";
      },
    ],
    [
      "kernels[2].arguments does not have 1 to 64",
      (m) => {
        m.kernels[2].arguments = [];
      },
    ],
    [
      "kernels[2].arguments[1].type is missing",
      (m) => {
        delete m.kernels[2].arguments[1].type;
      },
    ],
    [
      "programs.exact.greedy is missing",
      (m) => {
        delete m.programs.exact.greedy;
      },
    ],
    [
      "programs.exact.greedy of 256 bytes at 8132 is not inside",
      (m) => {
        m.programs.exact.greedy = { offset: 8132 };
      },
    ],
    [
      "programs.exact.greedy is given, but the head has no launch",
      (m) => {
        m.programs.exact.greedy = { offset: 0 };
        m.programs.exact.head = [];
      },
    ],
    [
      "logits of 4096 bytes at 8192 is not inside",
      (m) => {
        m.programs.exact.logits.offset = 8192;
      },
    ],
    [
      "logits.stride is 39",
      (m) => {
        m.programs.exact.logits.stride = vocabulary - 1;
      },
    ],
    [
      "taps[0].after is 3",
      (m) => {
        m.programs.bounded.taps[0].after = 3;
      },
    ],
    [
      "taps[0].width is 33",
      (m) => {
        m.programs.bounded.taps[0].width = 33;
      },
    ],
    ["programs.bounded.linears is missing", (m) => Reflect.deleteProperty(m.programs.bounded, "linears")],
    [
      "linears[0].x of 2048 bytes at 8192 is not inside",
      (m) => {
        m.programs.bounded.linears = [{ ...linearCall, x: { offset: 8192, width: 8, stride: 32 } }];
      },
    ],
    [
      "linears[0].linears[0].out is 5",
      (m) => {
        m.programs.bounded.linears = [{ ...linearCall, linears: [{ ...linearCall.linears[0], out: 5 }] }];
      },
    ],
    [
      "linears[0].launches needs a KV cache",
      (m) => {
        m.programs.bounded.linears = [{ ...linearCall, launches: [m.programs.bounded.body[1]] }];
      },
    ],
    [
      "programs.bounded.gates does not fit",
      (m) => {
        m.programs.bounded.gates = ["x", "y"];
      },
    ],
    [
      "buffers.weights is not the size",
      (m) => {
        m.buffers.weights += 4;
      },
    ],
    [
      "buffers.step is too small",
      (m) => {
        m.buffers.step = 79;
      },
    ],
    [
      "buffers.arena is 1e+30",
      (m) => {
        m.buffers.arena = 1e30;
      },
    ],
    [
      "programs.exact.cacheBytes is not a multiple of 64",
      (m) => {
        m.programs.exact.cacheBytes = 7;
      },
    ],
    ["drafting is not an object", (m) => Object.assign(m, { drafting: 7 })],
    ["drafting is missing", (m) => Reflect.deleteProperty(m, "drafting")],
    [
      "drafting.lossless names 'bold', which is no mode with a program",
      (m) => {
        m.modes.push("lossless");
        m.drafting = { lossless: { draft: "bold", verify: "exact" } };
      },
    ],
    [
      "drafting.lossless names 'lossless', which is no program",
      (m) => {
        m.modes.push("lossless");
        m.drafting = { lossless: { draft: "bounded", verify: "lossless" } };
      },
    ],
    [
      "drafting.lossless.verify is missing",
      (m) => {
        m.modes.push("lossless");
        m.drafting = { lossless: { draft: "bounded" } };
      },
    ],
    [
      "defaultMode is not among the modes",
      (m) => {
        m.defaultMode = "lossless";
      },
    ],
    [
      "programs.bounded is missing",
      (m) => {
        delete m.programs.bounded;
      },
    ],
    [
      "bytesPerToken.exact is missing",
      (m) => {
        delete m.bytesPerToken.exact;
      },
    ],
  ];
  // Exact and bounded share objects in the test manifest: a change must meet one of them only.
  const spoil = (change: Change) => (manifest: Record<string, unknown>) => {
    const copy = JSON.parse(JSON.stringify(manifest));
    change(copy);
    for (const key of Object.keys(manifest)) delete manifest[key];
    Object.assign(manifest, copy);
  };
  const results = await openAll(
    await Promise.all(cases.map(([, change]) => testBundle(code, spoil(change)))),
  );
  results.forEach(({ status, message }, i) => {
    expect(status, message).toBe(2);
    expect(message).toContain(cases[i]![0]);
    expect(message).toMatch(/\.gsi: byte \d+: /);
  });
});

test("code says itself what it needs of a CPU: where it does not, or needs more than there is, it is not run", async () => {
  const name = path("claims.so");
  const bundleOf = async (define: string) => {
    await buildKernels(name, "kernels", [define]);
    return testBundle(readFileSync(name));
  };
  const [silent, more] = await openAll([
    await bundleOf("-DGSIC_CODE_FEATURES_H"),
    await bundleOf('-DGSIC_TEST_FEATURES="sse3 no-such-feature"'),
  ]);
  expect(silent).toMatchObject({ status: 2 });
  expect(silent!.message).toContain("does not say which instruction sets it uses");
  expect(more).toMatchObject({ status: 3 });
  expect(more!.message).toContain("no no-such-feature, which the code of section 'code' uses");
});

test("what code runs when it is loaded does not run before all of its bundle holds", async () => {
  const name = path("loud.so");
  await buildKernels(name, "kernels", ["-DGSIC_TEST_LOUD"]);
  const loud = readFileSync(name);
  const section = (title: string, payload: Uint8Array) => ({ name: title, payload });
  const manifest = JSON.stringify(testManifest());
  const parts = (text: string, tokenizer: string) => [
    section("manifest", new TextEncoder().encode(text)),
    section("weights", testWeights()),
    section("tokenizer", new TextEncoder().encode(tokenizer)),
    section("code", loud),
  ];
  const damaged = await testBundle(loud);
  damaged[damaged.indexOf(0x7f, 8192) + 100]! ^= 1;
  const files = [
    await testBundle(loud),
    damaged,
    await testBundle(loud, (m) => Object.assign(m, { defaultMode: "none" })),
    await writeBundle(parts(manifest, "no tokenizer")),
  ];
  const names = files.map((_, i) => path(`loud-${i}.gsi`));
  names.forEach((file, i) => {
    writeFileSync(file, files[i]!);
  });
  for (const [i, file] of names.entries()) {
    const { stdout, stderr } = await finish(path("check"), ["open", file]);
    expect(stdout, file).toMatch(i === 0 ? /^0 / : /^2 /);
    expect(stderr, file).toBe(i === 0 ? "loaded\n" : "");
  }
});

test("sections that are missing, doubled, or no code are refused; so is a machine without the features", async () => {
  const manifest = await testBundle(code).then((file) => file.slice(4096, 8192));
  const json = manifest.slice(0, manifest.indexOf(0));
  const section = (name: string, payload: Uint8Array) => ({ name, payload });
  const weights = section("weights", testWeights());
  const library = section("code", code);
  const results = await openAll([
    await writeBundle([weights, library]),
    await writeBundle([section("manifest", json), library]),
    await writeBundle([section("manifest", json), weights, weights, library]),
    await writeBundle([section("manifest", json), weights, section("code", new Uint8Array(100))]),
    await writeBundle([section("manifest", new TextEncoder().encode("{")), weights, library]),
    await testBundle(code, (m) => {
      m.targets = (m.targets as unknown[]).slice(0, 1);
    }),
  ]);
  expect(results.map((result) => result.status)).toEqual([2, 2, 2, 2, 2, 3]);
  const parts = [
    "no section 'manifest'",
    "no section 'weights'",
    "second section",
    "cannot be loaded",
    "not JSON",
  ];
  parts.forEach((part, i) => {
    expect(results[i]!.message).toContain(part);
  });
  expect(results[5]!.message).toContain("cpu-impossible (this machine has no no-such-feature)");
});
