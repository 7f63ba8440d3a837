import { expect, test } from "vitest";
import { runtimeError } from "./runtime-error.js";

const failed = (code: string) => Object.assign(new Error("it failed"), { code });

test("statuses of gsic.h are errors for people; what is none of them is not", () => {
  expect(runtimeError(failed("GSIC_BAD_BUNDLE"), "a.gsi")).toMatchObject({
    ...{ category: "data", code: "bad-bundle", message: "it failed", where: "a.gsi" },
    hint: expect.stringContaining("build"),
  });
  expect(runtimeError(failed("GSIC_INVALID_ARGUMENT"))).toMatchObject({ exitCode: 2, where: undefined });
  expect(runtimeError(failed("GSIC_OUT_OF_MEMORY"))).toMatchObject({ exitCode: 4 });
  for (const other of [failed("GSIC_INTERNAL"), failed("ENOENT"), new Error("x"), null, "GSIC_IO"])
    expect(runtimeError(other)).toBe(null);
});
