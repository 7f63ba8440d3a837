import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, open, rename, rm, stat, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { GsicError } from "../support/errors.js";
import { unwritable } from "./file.js";
import {
  type HubAccess,
  HubInterrupted,
  type HubResponse,
  type HubSubject,
  hubError,
  hubGet,
} from "./hub-request.js";

/** One file to fetch. */
interface Download {
  readonly url: string;
  /** Where it goes; it appears there whole or not at all. */
  readonly target: string;
  readonly subject: HubSubject;
  /** Most bytes that make sense; null: as many as the server announces. */
  readonly limit: number | null;
  /** Called as bytes arrive; `total` is undefined where the server does not say. */
  readonly onProgress: (received: number, total: number | undefined) => void;
  /** Attempts in a row that bring no new byte before giving up. */
  readonly attempts: number;
  /** Milliseconds before the first repetition; doubles each time. */
  readonly delay: number;
}

/** What the server says of a whole file. */
interface Expected {
  readonly size: number | undefined;
  /** The digest that the hub names: SHA-256 of large files, the Git blob id of small ones. */
  readonly digest: { readonly kind: "sha256" | "git"; readonly hex: string } | undefined;
}

/**
 * Fetches a file into `target.part` and renames it when it is whole and its size and digest are right. A transfer
 * that breaks off is continued where it stopped, in this run or in a later one; a wrong digest starts it over once.
 */
export async function download(file: Download, access: HubAccess): Promise<void> {
  const part = `${file.target}.part`;
  await mkdir(dirname(file.target), { recursive: true }).catch((error: unknown) => {
    throw unwritable(file.target, error);
  });
  for (let round = 0; ; round++) {
    const expected = await complete(file, part, access);
    const problem = await mismatch(part, expected);
    if (problem === undefined) {
      await rename(part, file.target).catch((error: unknown) => {
        throw unwritable(file.target, error);
      });
      return;
    }
    await rm(part, { force: true });
    if (round > 0) {
      throw hubError("hub-corrupt", problem, file.url, "try again later, or use another HF_ENDPOINT");
    }
  }
}

/**
 * Repeats requests until the part file has all bytes. Only a part longer than any before counts as progress, so a
 * server that sends the same bytes again and again cannot keep this going.
 */
async function complete(file: Download, part: string, access: HubAccess): Promise<Expected> {
  let longest = await sizeOf(part);
  let failures = 0;
  for (;;) {
    let problem: HubInterrupted;
    try {
      return await advance(file, part, await sizeOf(part), access);
    } catch (error) {
      if (!(error instanceof HubInterrupted)) {
        throw error;
      }
      problem = error;
    }
    const size = await sizeOf(part);
    failures = size > longest && !problem.slow ? 0 : failures + 1;
    longest = Math.max(longest, size);
    if (failures >= file.attempts) {
      throw unreachable(file.url, problem);
    }
    await sleep(file.delay * 2 ** failures);
  }
}

/** One request for what is missing. Returns what the whole file must be; throws `HubInterrupted` to be repeated. */
async function advance(file: Download, part: string, have: number, access: HubAccess): Promise<Expected> {
  const headers: Record<string, string> = have > 0 ? { range: `bytes=${have}-` } : {};
  const response = await hubGet(file.url, access, file.subject, headers);
  const range = /^bytes (?:(\d+)-\d+|\*)\/(\d+|\*)$/.exec(response.header("content-range") ?? "");
  const expected = expectedOf(response, range?.[2]);
  if (response.status === 416) {
    response.cancel();
    if (have > 0 && expected.size === have) {
      return expected;
    }
    await rm(part, { force: true });
    throw new HubInterrupted("the server refuses to continue the transfer (416)");
  }
  if (response.status === 206 && Number(range?.[1]) !== have) {
    response.cancel();
    await rm(part, { force: true });
    throw new HubInterrupted("the server sent another range than was asked for");
  }
  refuseUnbounded(file, expected, response);
  const start = response.status === 206 ? have : 0;
  await checkSpace(part, start, expected.size, response);
  const received = await append(file, part, start, expected.size, response);
  if (expected.size !== undefined && received < expected.size) {
    throw new HubInterrupted(`the connection ended at byte ${received} of ${expected.size}`);
  }
  return expected;
}

/** Refuses what has no end that is known before, and what is larger than makes sense. */
function refuseUnbounded({ url, limit }: Download, { size, digest }: Expected, response: HubResponse): void {
  const unknown = size === undefined && digest === undefined;
  if (!unknown && (limit === null || size === undefined || size <= limit)) return;
  response.cancel();
  if (unknown) {
    const message = "the server says neither how large the file is nor what its digest is";
    throw hubError("hub-unsized", message, url, "check HF_ENDPOINT; a proxy may stand between");
  }
  throw tooLarge(url, limit!);
}

function tooLarge(url: string, limit: number): GsicError {
  const message = `the file is larger than ${limit} bytes, the most that makes sense for it`;
  return hubError("hub-file-too-large", message, url, "choose another model, or check HF_ENDPOINT");
}

function expectedOf(response: HubResponse, rangeTotal: string | undefined): Expected {
  const text =
    response.described("x-linked-size") ??
    (response.status === 200 ? plainLength(response) : rangeTotal?.replace("*", ""));
  const size = text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
  const linked = hexOf(response.described("x-linked-etag"));
  const plain = hexOf(response.described("etag"));
  if (linked?.length === 64) {
    return { size, digest: { kind: "sha256", hex: linked } };
  }
  // The hub tags small files with their Git blob id; other servers may mean anything by an ETag.
  const isHub = response.described("x-repo-commit") !== undefined;
  return { size, digest: isHub && plain?.length === 40 ? { kind: "git", hex: plain } : undefined };
}

/** Content-Length, unless the server compressed the body although it was asked not to. */
function plainLength(response: HubResponse): string | undefined {
  const encoding = response.header("content-encoding") ?? "identity";
  return encoding === "identity" ? response.header("content-length") : undefined;
}

function hexOf(etag: string | undefined): string | undefined {
  return /^(?:W\/)?"?([0-9a-f]+)"?$/.exec(etag ?? "")?.[1];
}

/** Fails early, before gigabytes have been fetched. */
async function checkSpace(
  part: string,
  have: number,
  size: number | undefined,
  response: HubResponse,
): Promise<void> {
  const space = await statfs(dirname(part)).catch(() => undefined);
  if (space !== undefined && size !== undefined && size - have > space.bavail * space.bsize) {
    response.cancel();
    const message = `${size - have} bytes are to be fetched, but ${space.bavail * space.bsize} are free`;
    throw hubError(
      "disk-full",
      message,
      part,
      "free some space, or set GSIC_CACHE to a folder on another disk",
    );
  }
}

/** Writes the body from `start` on and returns the size of the part file. */
async function append(
  file: Download,
  part: string,
  start: number,
  size: number | undefined,
  response: HubResponse,
): Promise<number> {
  let position = start;
  try {
    const handle = await open(part, start > 0 ? "r+" : "w");
    try {
      file.onProgress(position, size);
      for await (const chunk of response.body) {
        await handle.write(chunk, 0, chunk.length, position);
        position += chunk.length;
        if (size !== undefined && position > size) {
          await rm(part, { force: true });
          const message = `more than the announced ${size} bytes arrived`;
          throw hubError("hub-corrupt", message, file.url, "try again later, or use another HF_ENDPOINT");
        }
        if (file.limit !== null && position > file.limit) {
          await rm(part, { force: true });
          throw tooLarge(file.url, file.limit);
        }
        file.onProgress(position, size);
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    response.cancel();
    throw error instanceof HubInterrupted || error instanceof GsicError ? error : unwritable(part, error);
  }
  return position;
}

/** Says what is wrong with a finished part file, or undefined. */
async function mismatch(part: string, expected: Expected): Promise<string | undefined> {
  const size = await sizeOf(part);
  if (expected.size !== undefined && size !== expected.size) {
    return `${size} bytes arrived, but the file has ${expected.size}`;
  }
  if (expected.digest === undefined) {
    return undefined;
  }
  const { kind, hex } = expected.digest;
  const hash = createHash(kind === "git" ? "sha1" : "sha256");
  if (kind === "git") {
    hash.update(`blob ${size}\0`);
  }
  for await (const chunk of createReadStream(part)) {
    hash.update(chunk as Buffer);
  }
  const found = hash.digest("hex");
  return found === hex ? undefined : `the file's digest is ${found}, but the hub says ${hex}`;
}

/** The error where the network does not work: says how to do without. */
export function unreachable(url: string, cause: unknown): GsicError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return hubError(
    "hub-unreachable",
    `the hub cannot be reached: ${reason}`,
    url,
    "fetch the model elsewhere and name its folder as `source`, or set HF_ENDPOINT to a mirror; a repeated run continues where this one stopped",
    cause,
  );
}

async function sizeOf(file: string): Promise<number> {
  return stat(file).then(
    (status) => status.size,
    () => 0,
  );
}
