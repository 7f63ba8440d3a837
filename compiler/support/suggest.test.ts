import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readConfig } from "../config/config.js";
import { temporaryFolder } from "../testing/fixtures.js";
import { didYouMean } from "./suggest.js";

test("the nearest word is suggested where it is near enough to be meant", () => {
  expect(didYouMean("exat", ["exact", "bounded"])).toBe("did you mean exact? ");
  expect(didYouMean("quen3", ["qwen2", "qwen3"])).toBe("did you mean qwen3? ");
  expect(didYouMean("mamba", ["gpt2", "llama", "opt"])).toBe("");
  expect(didYouMean("fast", ["exact", "bounded"])).toBe("");
  expect(didYouMean("x", [])).toBe("");
});

test("words of model.toml: modes and forms", async () => {
  const file = join(await temporaryFolder(), "model.toml");
  const hintOf = (text: string) => {
    writeFileSync(file, `[model]\nsource = "model"\n${text}`);
    try {
      readConfig(file);
    } catch (error) {
      return (error as { hint?: string }).hint;
    }
    return undefined;
  };
  expect(hintOf('[quality]\nmode = "bouned"\n')).toMatch(/^did you mean bounded\? one of: exact, /);
  expect(hintOf('[plan]\nforms = ["tired"]\n')).toMatch(/^did you mean tiered\? one of: dense, /);
  expect(hintOf('[plan]\nforms = ["sparse"]\n')).toMatch(/^one of: dense, /);
});
