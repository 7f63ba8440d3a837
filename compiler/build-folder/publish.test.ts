import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { isAlive } from "../support/process.js";
import { temporaryFolder } from "../testing/fixtures.js";
import { checkOutput, publish } from "./publish.js";

/** Fills a staging folder as a build does. */
const make =
  (content: string) =>
  async (staging: string): Promise<string> => {
    await setTimeout(20);
    writeFileSync(join(staging, "report.json"), JSON.stringify({ gsic: "0.1.0", content }));
    return content;
  };

const contentOf = (out: string) =>
  (JSON.parse(readFileSync(join(out, "report.json"), "utf8")) as { content: string }).content;

/** The id of a process that has ended. */
function deadPid(): number {
  const { pid } = spawnSync("true");
  expect(isAlive(pid)).toBe(false);
  return pid;
}

test("a build appears whole, and replaces an earlier one with all its files", async () => {
  const parent = await temporaryFolder();
  const out = join(parent, "new/out");
  expect(await publish(out, make("first"))).toBe("first");
  writeFileSync(join(out, "old-kernel.cpp"), "");
  await publish(out, async (staging) => {
    expect(contentOf(out)).toBe("first");
    return make("second")(staging);
  });
  expect(contentOf(out)).toBe("second");
  expect(readdirSync(out)).toEqual(["report.json"]);
  expect(readdirSync(join(parent, "new"))).toEqual(["out"]);
});

test("a build that fails leaves the previous one, and nothing else", async () => {
  const parent = await temporaryFolder();
  const out = join(parent, "out");
  const fail = async (staging: string) => {
    await make("broken")(staging);
    throw new Error("no");
  };
  await expect(publish(out, fail)).rejects.toThrow("no");
  expect(readdirSync(parent)).toEqual([]);
  await publish(out, make("first"));
  await expect(publish(out, fail)).rejects.toThrow("no");
  expect(readdirSync(parent)).toEqual(["out"]);
  expect(contentOf(out)).toBe("first");
  expect(process.listenerCount("SIGINT")).toBe(0);
});

describe("an output folder that gsic did not write", () => {
  const reports = {
    none: null,
    "not JSON": "x",
    "another tool's": '{"name":"x"}',
    "an array": "[]",
    null: "null",
  };
  test.each(Object.entries(reports))("with a report that is %s is refused", async (_, report) => {
    const out = await temporaryFolder();
    writeFileSync(join(out, "mine"), "");
    if (report !== null) writeFileSync(join(out, "report.json"), report);
    const before = readdirSync(out);
    const refused = { code: "output-not-a-build", exitCode: 2, where: out };
    await expect(publish(out, make("x"))).rejects.toMatchObject(refused);
    expect(readdirSync(out)).toEqual(before);
  });

  test("is refused when it is a file", async () => {
    const out = join(await temporaryFolder(), "file");
    writeFileSync(out, "mine");
    await expect(publish(out, make("x"))).rejects.toMatchObject({ code: "output-not-a-build" });
    expect(readFileSync(out, "utf8")).toBe("mine");
  });
});

test("an output folder that holds an input is refused", async () => {
  const parent = await temporaryFolder();
  const out = join(parent, "out");
  await publish(out, make("first"));
  for (const input of [out, join(out, "model"), join(out, "..text")]) {
    expect(() => checkOutput(out, ["/elsewhere", input])).toThrow(`would replace ${input}`);
  }
  checkOutput(out, [parent, join(parent, "outer"), join(parent, "model.toml"), "/"]);
});

test("a place that cannot be written is an environment error", async () => {
  const parent = await temporaryFolder();
  writeFileSync(join(parent, "file"), "");
  const refused = { code: "output-unwritable", exitCode: 4 };
  await expect(publish(join(parent, "file/out"), make("x"))).rejects.toMatchObject(refused);
  expect(readdirSync(parent)).toEqual(["file"]);
});

test("of builds at once into one folder, one is made and the others are refused", async () => {
  const out = join(await temporaryFolder(), "out");
  const results = await Promise.allSettled(["a", "b", "c"].map((content) => publish(out, make(content))));
  const made = results.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  const refused = results.flatMap((one) => (one.status === "rejected" ? [one.reason as unknown] : []));
  expect(made).toEqual([contentOf(out)]);
  for (const reason of refused) expect(reason).toMatchObject({ code: "output-busy", exitCode: 2 });
});

describe("after a build that was killed", () => {
  test.each(["the lock of a dead process", "an empty lock"])(
    "%s is taken over, and its rests removed",
    async (lock) => {
      const parent = await temporaryFolder();
      const out = join(parent, "out");
      writeFileSync(join(parent, ".out.lock"), lock === "an empty lock" ? "" : String(deadPid()));
      mkdirSync(join(parent, ".out.staging"));
      writeFileSync(join(parent, ".out.staging/half"), "");
      await publish(out, make("x"));
      expect(readdirSync(parent)).toEqual(["out"]);
      expect(readdirSync(out)).toEqual(["report.json"]);
    },
  );

  test.each([0, 1, 2, 3, 4])("one alone takes over the lock (%i)", async () => {
    const parent = await temporaryFolder();
    writeFileSync(join(parent, ".out.lock"), String(deadPid()));
    let working = 0;
    const one = async (staging: string) => {
      expect(++working).toBe(1);
      await make("x")(staging);
      working--;
    };
    const results = await Promise.allSettled(
      Array.from({ length: 6 }, () => publish(join(parent, "out"), one)),
    );
    const refused = results.flatMap((result) =>
      result.status === "rejected" ? [result.reason as unknown] : [],
    );
    expect(refused.length).toBeLessThan(6);
    for (const reason of refused) expect(reason).toMatchObject({ code: "output-busy" });
    expect(readdirSync(parent)).toEqual(["out"]);
  });

  test("a lock is taken over from one who died while taking it over", async () => {
    const parent = await temporaryFolder();
    for (const file of [".out.lock", ".out.lock.takeover"])
      writeFileSync(join(parent, file), String(deadPid()));
    await publish(join(parent, "out"), make("x"));
    expect(readdirSync(parent)).toEqual(["out"]);
  });

  test("the lock of a process whose id was given to another since is taken over", async () => {
    const parent = await temporaryFolder();
    writeFileSync(join(parent, ".out.lock"), `${process.pid} 1`);
    await publish(join(parent, "out"), make("x"));
    expect(readdirSync(parent)).toEqual(["out"]);
  });

  test("its resumable files are there for the next one, and nothing else", async () => {
    const parent = await temporaryFolder();
    mkdirSync(join(parent, ".out.staging/kernels"), { recursive: true });
    for (const name of ["a.gsi", "a.gsi.journal", "graph.ts"])
      writeFileSync(join(parent, ".out.staging", name), "x");
    const seen: string[][] = [];
    const look = (staging: string) => {
      seen.push(readdirSync(staging).sort());
      return make("x")(staging);
    };
    const resumable = { names: ["a.gsi", "a.gsi.journal"], isWorthKeeping: () => true };
    await publish(join(parent, "out"), look, resumable);
    await publish(join(parent, "out"), look, resumable);
    expect(seen).toEqual([["a.gsi", "a.gsi.journal"], []]);
    expect(readdirSync(parent)).toEqual(["out"]);
  });

  test("a previous build that was set aside is restored", async () => {
    const parent = await temporaryFolder();
    const out = join(parent, "out");
    await publish(join(parent, ".out.previous"), make("first"));
    const fail = () => Promise.reject(new Error("no"));
    await expect(publish(out, fail)).rejects.toThrow("no");
    expect(contentOf(out)).toBe("first");
    expect(readdirSync(parent)).toEqual(["out"]);
  });
});

test("the lock of a living process is respected, and named", async () => {
  const parent = await temporaryFolder();
  const lock = join(parent, ".out.lock");
  writeFileSync(lock, String(process.ppid));
  const error = await publish(join(parent, "out"), make("x")).catch((cause: unknown) => cause);
  expect(error).toMatchObject({ code: "output-busy", exitCode: 2, hint: expect.stringContaining(lock) });
  expect(existsSync(lock)).toBe(true);
  expect(readdirSync(parent)).toEqual([".out.lock"]);
});
