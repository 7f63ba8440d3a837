import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { type ToolMessages, toolError } from "../cc/tool.js";
import { GsicError } from "../support/errors.js";
import { openBuild } from "./open.js";

const folder = mkdtempSync(join(tmpdir(), "gsic-built-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const good = { name: "m", mode: "exact", modes: ["exact"], config: "../model.toml" };
const write = (report: unknown) => writeFileSync(join(folder, "report.json"), JSON.stringify(report));

function errorOf(action: () => unknown): GsicError {
  try {
    action();
  } catch (error) {
    if (error instanceof GsicError) return error;
    throw error;
  }
  throw new Error("it was accepted");
}

test("a report that does not say what the build is, is refused", () => {
  write(good);
  expect(openBuild(folder).bundle).toBe(join(folder, "m.gsi"));
  const wrong = [
    null,
    [],
    "m",
    {},
    { ...good, name: "../x" },
    { ...good, modes: "exact" },
    { ...good, config: 1 },
  ];
  for (const report of wrong) {
    write(report);
    const error = errorOf(() => openBuild(folder));
    expect(error).toMatchObject({ code: "build-missing", exitCode: 2, where: folder });
    expect(error.message).toContain("report.json does not say what the build is");
  }
});

test("a build that was moved says so, and what to do", () => {
  write(good);
  const error = errorOf(() => openBuild(folder).config);
  expect(error).toMatchObject({ code: "build-moved", exitCode: 2 });
  expect(error.where).toBe(`${join(folder, "report.json")}: config`);
  expect(error.hint).toContain("move the build folder or model.toml back");
});

describe("what gsic-tool says becomes an error with code, place and next step", () => {
  const error = (
    category: NonNullable<ToolMessages["error"]>["category"],
    code: string,
    message: string,
    where: string | null,
    hint: string | null,
  ): ToolMessages => ({ error: { category, code, message, where, hint }, others: "" });
  const args = ["logits", "/b/m.gsi", "--ids-file", "/t/ids", "--out", "/none/l"];
  test.each([
    [
      3,
      error("data", "bundle-invalid", "it is damaged", "/b/m.gsi: byte 12", "copy it again"),
      {
        code: "bundle-invalid",
        exitCode: 3,
        where: "/b/m.gsi: byte 12",
        message: "it is damaged",
        hint: "copy it again",
      },
    ],
    [
      4,
      error(
        "environment",
        "output-unwritable",
        "cannot be written",
        "/none/l",
        "check that the folder exists",
      ),
      { code: "output-unwritable", exitCode: 4, where: "/none/l", hint: "check that the folder exists" },
    ],
    [
      2,
      error("usage", "argument-invalid", "token 1 is id 40", null, null),
      { code: "argument-invalid", exitCode: 2, where: "/b/m.gsi", message: "token 1 is id 40" },
    ],
    [
      1,
      error("defect", "tool-failed", "x", null, null),
      { code: "tool-failed", exitCode: 1, where: "/b/m.gsi", message: "gsic-tool logits ended with 1: x" },
    ],
    [
      "SIGSEGV",
      { error: null, others: "a library's last words" },
      {
        code: "tool-failed",
        exitCode: 1,
        message: "gsic-tool logits ended with SIGSEGV: a library's last words",
      },
    ],
  ])("%s: %o", (ended, messages, expected) => {
    expect(toolError(args, ended, messages)).toMatchObject(expected);
    expect(toolError(args, ended, messages).hint).toBeTruthy();
  });
});
