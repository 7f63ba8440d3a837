import {
  type BigIntStats,
  closeSync,
  constants,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  type Stats,
  statSync,
} from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { GsicError, messageOf } from "../support/errors.js";
import { onInterrupt } from "../support/interrupt.js";
import { isAlive } from "../support/process.js";

/** A bad input: category `data`, with the file, the place in it, and what to do next. */
export function badInput(code: string, message: string, where: string, hint: string): GsicError {
  return new GsicError({ category: "data", code, message, where, hint });
}

/** What to do about a file whose bytes contradict each other. */
export const fetchAgain =
  "the file is damaged, or was made to mislead; fetch it again from a source you trust";

/** A file that is open for positional reads. */
export interface OpenFile {
  readonly file: string;
  readonly descriptor: number;
  /** Size when it was opened, in bytes. */
  readonly size: number;
}

/**
 * Opens a regular file for reading. Throws `file-missing`, `file-unreadable`, or `file-kind` for a folder, a FIFO,
 * a socket or a device (which are looked at before they are opened, since opening a FIFO blocks).
 */
export function openFile(file: string): OpenFile {
  const status = statFile(file);
  if (!status.isFile()) {
    throw badInput(
      "file-kind",
      `a regular file is needed, not ${kindOf(status)}`,
      file,
      "name the file itself; what comes through a pipe must be saved to a file first",
    );
  }
  try {
    const descriptor = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
    return { file, descriptor, size: status.size };
  } catch (error) {
    throw unreadable(file, error);
  }
}

/** Opens `file`, hands it to `use`, and closes it whatever happens. */
export function withFile<T>(file: string, use: (opened: OpenFile) => T): T {
  const opened = openFile(file);
  try {
    return use(opened);
  } finally {
    closeSync(opened.descriptor);
  }
}

/** Reads exactly the bytes `offset` to `offset + target.length`; throws `file-changed` where there are fewer. */
export function readInto(opened: OpenFile, target: Uint8Array, offset: number): void {
  let done = 0;
  while (done < target.length) {
    const count = Math.min(target.length - done, 1 << 30);
    let got: number;
    try {
      got = readSync(opened.descriptor, target, done, count, offset + done);
    } catch (error) {
      throw unreadable(opened.file, error);
    }
    if (got === 0) {
      throw badInput(
        "file-changed",
        `the file ended at byte ${offset + done}, before byte ${offset + target.length} that was there when it was opened`,
        opened.file,
        "do not change a model's files while gsic reads them",
      );
    }
    done += got;
  }
}

/** Reads `length` bytes at `offset` into new memory. */
export function readAt(opened: OpenFile, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  readInto(opened, bytes, offset);
  return bytes;
}

/** Reads a whole file of at most `limit` bytes; a FIFO or a device, which may have no end, is `file-kind`. */
export function readWhole(file: string, limit: number): Uint8Array {
  return withFile(file, (opened) => {
    if (opened.size > limit) {
      const message = `${opened.size} bytes; at most ${limit} make sense here`;
      throw badInput("file-too-large", message, file, "check that this is the right file");
    }
    return readAt(opened, 0, opened.size);
  });
}

/** Reads a whole text file of at most `limit` bytes; invalid UTF-8 is `file-encoding`. */
export function readText(file: string, limit: number): string {
  const bytes = readWhole(file, limit);
  refuseImpostor(file, bytes.subarray(0, 512));
  return decodeUtf8(bytes, file, 0);
}

/** One for all texts: a vocabulary has a quarter of a million, and making a decoder takes longer than using it. */
const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Decodes UTF-8 and refuses what is not; `offset` is where `bytes` stands in `file`. */
export function decodeUtf8(bytes: Uint8Array, file: string, offset: number): string {
  try {
    return strictUtf8.decode(bytes);
  } catch {
    throw badInput(
      "file-encoding",
      "text that is not valid UTF-8",
      `${file}: byte ${offset + firstInvalidUtf8(bytes)}`,
      "the file is damaged; fetch it again",
    );
  }
}

/**
 * Refuses what is often saved under a model's name: a Git LFS pointer, a web page, an error message of the hub, or
 * another format. `head` is the first few hundred bytes.
 */
export function refuseImpostor(file: string, head: Uint8Array): void {
  const text = Buffer.from(head).toString("latin1").trimStart();
  const lower = text.slice(0, 64).toLowerCase();
  if (text.startsWith("version https://git-lfs")) {
    throw badInput("file-lfs-pointer", "a Git LFS pointer, not the file itself", file, "run: git lfs pull");
  }
  if (/^<(!doctype|html|head|\?xml|!--)/.test(lower)) {
    throw badInput(
      "file-html",
      "a web page, not a model file",
      file,
      "download the file itself (…/resolve/…)",
    );
  }
  if (/^(entry|repository|invalid username|access to model)\b.{0,40}/.test(lower)) {
    throw badInput(
      "file-html",
      `an error message of the hub: ${JSON.stringify(text.slice(0, 60))}`,
      file,
      "download the file itself, and log in where the hub asks for it",
    );
  }
}

/** Closes a descriptor, ignoring that it is already closed. */
export function closeQuietly(descriptor: number): void {
  try {
    closeSync(descriptor);
  } catch {
    // Nothing depends on the outcome.
  }
}

/**
 * Writes a file so that readers see the old content or the whole new one: into a temporary file beside it, flushed,
 * then renamed. A failure, or a signal, leaves `file` as it was and removes the temporary file; that of a process that was
 * killed is removed by the next one that writes this file.
 */
export async function writeAtomically(
  file: string,
  chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<void> {
  removeAbandoned(file);
  const temporary = join(dirname(file), `.${basename(file)}.${process.pid}.${Date.now().toString(36)}.tmp`);
  const release = onInterrupt(() => rmSync(temporary, { force: true }));
  try {
    const handle = await open(temporary, "wx");
    try {
      for await (const chunk of chunks) {
        await writeAll(handle, chunk);
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw error instanceof GsicError ? error : unwritable(file, error);
  } finally {
    release();
  }
}

/** Removes what processes that were killed had written of a file. */
function removeAbandoned(file: string): void {
  const [folder, begins] = [dirname(file), `.${basename(file)}.`];
  try {
    for (const name of readdirSync(folder)) {
      if (!name.startsWith(begins)) continue;
      const pid = /^(\d+)\.[0-9a-z]+\.tmp$/.exec(name.slice(begins.length))?.[1];
      if (pid !== undefined && !isAlive(Number(pid))) rmSync(join(folder, name), { force: true });
    }
  } catch {
    // Whether the folder can be written shows where the file is.
  }
}

async function writeAll(handle: Awaited<ReturnType<typeof open>>, chunk: Uint8Array): Promise<void> {
  let done = 0;
  while (done < chunk.length) {
    const { bytesWritten } = await handle.write(chunk, done, Math.min(chunk.length - done, 1 << 30));
    done += bytesWritten;
  }
}

/** The error for a file that could not be written: `disk-full` or `file-unwritable`. */
export function unwritable(file: string, error: unknown): GsicError {
  const code = (error as NodeJS.ErrnoException).code;
  const full = code === "ENOSPC" || code === "EDQUOT";
  return new GsicError({
    category: "environment",
    code: full ? "disk-full" : "file-unwritable",
    message: full ? "no space is left to write the file" : `the file cannot be written: ${messageOf(error)}`,
    where: file,
    hint: full
      ? "free some space, or write to another disk"
      : "check that the folder exists and may be written",
    cause: error,
  });
}

function statFile(file: string): Stats {
  try {
    return statSync(file);
  } catch (error) {
    throw unreadable(file, error);
  }
}

function unreadable(file: string, error: unknown): GsicError {
  const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
  return new GsicError({
    category: "data",
    code: missing ? "file-missing" : "file-unreadable",
    message: missing ? "no such file" : `the file cannot be read: ${messageOf(error)}`,
    where: file,
    hint: missing
      ? "check the path; relative paths start at the folder of model.toml"
      : "check its permissions",
    cause: error,
  });
}

function kindOf(status: Stats | BigIntStats): string {
  if (status.isDirectory()) {
    return "a folder";
  }
  if (status.isFIFO()) {
    return "a FIFO";
  }
  if (status.isSocket()) {
    return "a socket";
  }
  return "a device";
}

function firstInvalidUtf8(bytes: Uint8Array): number {
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  const encoder = new TextEncoder();
  let offset = 0;
  for (let index = text.indexOf("\ufffd"), from = 0; index >= 0; index = text.indexOf("\ufffd", from)) {
    offset += encoder.encode(text.slice(from, index)).length;
    const genuine = bytes[offset] === 0xef && bytes[offset + 1] === 0xbf && bytes[offset + 2] === 0xbd;
    if (!genuine) {
      return offset;
    }
    offset += 3;
    from = index + 1;
  }
  return 0;
}
