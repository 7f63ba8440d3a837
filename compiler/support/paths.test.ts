import { homedir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { cacheFolder } from "./paths.js";

afterEach(() => vi.unstubAllEnvs());

test.each([
  ["GSIC_CACHE comes first", "/mine", "/xdg", "/mine"],
  ["then XDG_CACHE_HOME", "", "/xdg", "/xdg/gsic"],
  ["an empty variable counts as none", "", "", join(homedir(), ".cache", "gsic")],
])("the cache's folder: %s", (_, own, xdg, folder) => {
  vi.stubEnv("GSIC_CACHE", own);
  vi.stubEnv("XDG_CACHE_HOME", xdg);
  expect(cacheFolder()).toBe(folder);
});
