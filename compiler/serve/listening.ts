/** Where a server listens: which address a name means, who can reach it, and with which key. */

import { lookup } from "node:dns/promises";
import { BlockList, isIP } from "node:net";
import { networkInterfaces } from "node:os";
import { readText } from "../read/file.js";
import { GsicError, messageOf } from "../support/errors.js";

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8, "ipv4");
loopback.addAddress("::1", "ipv6");

/** Whether only this machine reaches an IP address. */
export function isLoopback(address: string): boolean {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  const plain = mapped ?? address;
  return loopback.check(plain, isIP(plain) === 6 ? "ipv6" : "ipv4");
}

/**
 * The IP address that a host means; IPv4 where it has both. Throws `host-empty` (category usage) and
 * `address-unavailable` (category environment).
 */
export async function addressOf(host: string): Promise<string> {
  // Node takes an empty host for all addresses of the machine.
  if (host.trim() === "")
    throw new GsicError({
      category: "usage",
      code: "host-empty",
      message: "--host is empty, which would mean every address of this machine",
      where: "--host",
      hint: "leave it out for this machine alone, or say 0.0.0.0 for all its IPv4 addresses",
    });
  try {
    return (await lookup(host, { verbatim: false })).address;
  } catch (cause) {
    throw new GsicError({
      category: "environment",
      code: "address-unavailable",
      message: `${JSON.stringify(host)} names no address: ${messageOf(cause)}`,
      where: "--host",
      hint: "choose a --host of this machine, such as 127.0.0.1",
      cause,
    });
  }
}

/** The addresses at which a server that listens on `address` is reached: several where it is the unspecified one. */
export function reachableUrls(address: string, port: number): string[] {
  const url = (one: string) => `http://${isIP(one) === 6 ? `[${one}]` : one}:${port}`;
  if (address !== "0.0.0.0" && address !== "::") return [url(address)];
  const all = Object.values(networkInterfaces()).flatMap((one) => one ?? []);
  // A socket on :: takes IPv4 too. Link-local addresses mean nothing without an interface's name.
  const reached = all.filter(
    ({ family, address: one }) => (family === "IPv4" || address === "::") && !/^fe80:/i.test(one),
  );
  return [...reached.filter(({ internal }) => internal), ...reached.filter(({ internal }) => !internal)].map(
    ({ address: one }) => url(one),
  );
}

/** Where a key comes from. */
export interface KeyOptions {
  readonly apiKey?: string | undefined;
  readonly apiKeyFile?: string | undefined;
}

const leastKey = 16;
const maxKeyFile = 1 << 16;

/**
 * The key that requests must bring: of the option, else of the file, else of the environment's GSIC_API_KEY; null
 * without any. Throws `api-key-invalid` (category usage), and what `readText` throws.
 */
export function keyOf(options: KeyOptions, environment: NodeJS.ProcessEnv = process.env): string | null {
  const { apiKey, apiKeyFile } = options;
  if (apiKey !== undefined && apiKeyFile !== undefined)
    throw badKey("--api-key", "there are two keys: --api-key and --api-key-file");
  if (apiKey !== undefined) return checkedKey(apiKey, "--api-key");
  if (apiKeyFile !== undefined)
    return checkedKey(readText(apiKeyFile, maxKeyFile).replace(/\r?\n$/, ""), apiKeyFile);
  const { GSIC_API_KEY: named } = environment;
  return named === undefined ? null : checkedKey(named, "GSIC_API_KEY");
}

function checkedKey(key: string, where: string): string {
  if (!/^[\x21-\x7e]+$/.test(key))
    throw badKey(where, "the key is empty, or holds blanks or characters beyond ASCII");
  if (key.length < leastKey) throw badKey(where, `the key has fewer than ${leastKey} characters`);
  return key;
}

function badKey(where: string, message: string): GsicError {
  const hint = "make one with: openssl rand -hex 16";
  return new GsicError({ category: "usage", code: "api-key-invalid", message, where, hint });
}

/** Refuses to give the model to whoever reaches the address, unless that is said. Throws `key-missing` (category usage). */
export function requireKey(address: string, key: string | null, anyone: boolean): void {
  if (isLoopback(address) || key !== null || anyone) return;
  throw new GsicError({
    category: "usage",
    code: "key-missing",
    message: `whoever reaches ${address} could use the model, without a key`,
    where: "--host",
    hint: "give --api-key-file FILE (or GSIC_API_KEY), or say --allow-anyone",
  });
}
