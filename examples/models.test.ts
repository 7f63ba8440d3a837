import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readConfig } from "../compiler/config/config.js";
import { isHubSource, parseHubSource } from "../compiler/read/hub.js";
import { packageRoot } from "../compiler/support/paths.js";

const folder = join(packageRoot, "examples");
const examples = readdirSync(folder).filter((name) => existsSync(join(folder, name, "model.toml")));

describe("every example has a model.toml that can be read, and says how to use it", () => {
  test("all families are there", () => {
    const families = ["gemma3", "gpt2", "gptj", "mistral", "opt", "phi3", "qwen2.5", "qwen3", "tinyllama"];
    expect(examples).toEqual(expect.arrayContaining(families));
  });

  test.each(examples)("%s", (name) => {
    const { model } = readConfig(join(folder, name, "model.toml"));
    expect(model.name).toBe(name);
    if (isHubSource(model.source)) {
      expect(parseHubSource(model.source).revision).toBe("main");
      const readme = readFileSync(join(folder, name, "README.md"), "utf8");
      expect(readme).toContain(`examples/${name}/model.toml`);
      expect(readme).toContain(model.source.slice("hf:".length));
    }
  });
});
