import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { addressOf, isLoopback, keyOf, reachableUrls, requireKey } from "./listening.js";

const folder = mkdtempSync(join(tmpdir(), "gsic-listening-"));
const key = "0123456789abcdef";

afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("a host is an address; an empty one is refused, not taken for all", async () => {
  expect(await addressOf("127.0.0.1")).toBe("127.0.0.1");
  expect(await addressOf("::1")).toBe("::1");
  expect(await addressOf("localhost")).toBe("127.0.0.1");
  for (const host of ["", "  "])
    await expect(addressOf(host)).rejects.toMatchObject({ code: "host-empty", category: "usage" });
  await expect(addressOf("no-such-host.invalid")).rejects.toMatchObject({ code: "address-unavailable" });
});

test("what only this machine reaches is known", () => {
  for (const one of ["127.0.0.1", "127.255.0.9", "::1", "::ffff:127.0.0.1"])
    expect(isLoopback(one)).toBe(true);
  for (const one of ["0.0.0.0", "::", "128.0.0.1", "10.0.0.1", "::ffff:10.0.0.1", "fe80::1"])
    expect(isLoopback(one)).toBe(false);
});

test("without a key other machines are served only where that is said", () => {
  const missing = expect.objectContaining({ code: "key-missing", category: "usage" });
  expect(() => requireKey("0.0.0.0", null, false)).toThrow(missing);
  expect(() => requireKey("::", null, false)).toThrow(missing);
  requireKey("0.0.0.0", null, true);
  requireKey("0.0.0.0", key, false);
  requireKey("127.0.0.1", null, false);
});

test("the addresses that are printed are those that are reached", () => {
  expect(reachableUrls("127.0.0.1", 80)).toEqual(["http://127.0.0.1:80"]);
  expect(reachableUrls("::1", 80)).toEqual(["http://[::1]:80"]);
  const ipv4 = Object.values(networkInterfaces())
    .flatMap((one) => one ?? [])
    .filter(({ family }) => family === "IPv4")
    .map(({ address }) => `http://${address}:80`);
  expect([...reachableUrls("0.0.0.0", 80)].sort()).toEqual([...ipv4].sort());
  for (const url of ipv4) expect(reachableUrls("::", 80)).toContain(url);
});

test("a key comes from the option, a file or the environment; what is none is refused", () => {
  const file = join(folder, "key");
  const write = (text: string) => {
    writeFileSync(file, text);
    return { apiKeyFile: file };
  };
  expect(keyOf({}, {})).toBeNull();
  expect(keyOf({ apiKey: key }, { GSIC_API_KEY: `other${key}` })).toBe(key);
  expect(keyOf(write(`${key}\n`), {})).toBe(key);
  expect(keyOf(write(`${key}\r\n`), {})).toBe(key);
  expect(keyOf({}, { GSIC_API_KEY: key })).toBe(key);
  const invalid = expect.objectContaining({ code: "api-key-invalid", category: "usage" });
  for (const wrong of ["", "short", `${key} ${key}`, `${key}ü`, `${key}\n${key}`]) {
    expect(() => keyOf({ apiKey: wrong }, {})).toThrow(invalid);
    expect(() => keyOf(write(wrong), {})).toThrow(invalid);
    expect(() => keyOf({}, { GSIC_API_KEY: wrong })).toThrow(invalid);
  }
  expect(() => keyOf({ apiKey: key, apiKeyFile: file }, {})).toThrow(invalid);
  expect(() => keyOf({ apiKeyFile: join(folder, "none") }, {})).toThrow(
    expect.objectContaining({ code: "file-missing" }),
  );
});
