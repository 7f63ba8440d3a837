import { constants, type FileHandle, open, rm } from "node:fs/promises";
import xxhash, { type XXHash } from "xxhash-wasm";
import { roundUp } from "../layout/stride.js";
import { bundleLayout } from "../read/bundle-sections.js";
import { GsicError, messageOf } from "../support/errors.js";
import type { Journal, Written } from "./journal.js";

/** A section of a .gsi file. */
export interface Section {
  /** At most 31 ASCII characters. */
  readonly name: string;
  /** A piece is valid until the next is asked for. */
  readonly chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

/** The last section, which a build that was killed need not write again. */
interface LongSection {
  readonly name: string;
  /** The payload from a byte on, 0 or one of `ends`; as `Section.chunks`. */
  chunks(begin: number): AsyncIterable<Uint8Array>;
  /** Where it can be gone on with. */
  readonly ends: ReadonlySet<number>;
}

/** What watches over a file's long section. */
interface BundleOptions {
  /** Told how many bytes of the long section are written, or were found written. */
  readonly progress?: ((done: number) => void) | undefined;
  /** Notes what is written; without one, the file must not be there. */
  readonly journal?: Journal | undefined;
}

const { magic, formatVersion, headerBytes, entryBytes } = bundleLayout;
const page = 4096;
/** Bytes of what a killed build wrote that are read at a time. */
const readBytes = 1 << 20;
/**
 * What is written at a time, and where it begins and ends in the file: a huge page. The page cache keeps a write in one
 * piece where the file system can (ext4 since Linux 6.16, XFS), and the runtime then maps it by one entry: in a virtual machine
 * weights are read 1.2 to 1.6 times as fast.
 */
const windowBytes = 2 << 20;
/** Bytes that are written before the disk is told to store them: else the last of them would keep a build waiting. */
const flushBytes = 256 << 20;

type Hash = XXHash<bigint>;

/**
 * Writes a .gsi file; the format stands in runtime/src/bundle.h. Sections are streamed in order, the table of their
 * hashes is written last. With a journal, what an interrupted build wrote of the long section is read and compared
 * with the hashes that it noted, and kept as far as they agree. Returns where the long section begins. Throws
 * `disk-full` or `output-unwritable` (category environment).
 */
export async function writeBundle(
  path: string,
  sections: readonly Section[],
  long: LongSection | null = null,
  options: BundleOptions = {},
): Promise<number> {
  const { journal } = options;
  try {
    const written = (await journal?.read()) ?? null;
    if (written === null && journal !== undefined) await rm(path, { force: true });
    const { O_RDWR, O_CREAT } = constants;
    const file = await open(path, written === null ? "wx+" : O_RDWR | O_CREAT);
    try {
      return await new Writer(file, await xxhash()).write(sections, long, written ?? [], options);
    } finally {
      await file.close();
      await journal?.close();
    }
  } catch (cause) {
    throw cause instanceof GsicError || (cause as NodeJS.ErrnoException).code === undefined
      ? cause
      : unwritable(path, cause);
  }
}

function unwritable(path: string, cause: unknown): GsicError {
  const full = ["ENOSPC", "EDQUOT"].includes((cause as NodeJS.ErrnoException).code ?? "");
  return new GsicError({
    category: "environment",
    code: full ? "disk-full" : "output-unwritable",
    message: full ? "the disk is full" : messageOf(cause),
    where: path,
    hint: full ? "free space, or choose another folder with --out" : "choose another folder with --out",
    cause,
  });
}

/** The file while it is written. One window is written while the next is filled. */
class Writer {
  private window = new Uint8Array(windowBytes);
  private spare = new Uint8Array(windowBytes);
  /** Where the window begins in the file, what is filled of it, and up to where everything is written. */
  private begin = 0;
  private filled = 0;
  private writtenTo = 0;
  /** Pieces of the long section that are not noted yet. */
  private readonly finished: Written[] = [];
  private writing: Promise<void> = Promise.resolve();
  private flushing: Promise<void> = Promise.resolve();
  private unflushed = 0;

  constructor(
    private readonly file: FileHandle,
    private readonly hashes: { create64(): Hash },
  ) {}

  async write(
    sections: readonly Section[],
    long: LongSection | null,
    written: readonly Written[],
    options: BundleOptions,
  ): Promise<number> {
    const count = sections.length + (long === null ? 0 : 1);
    let position = roundUp(headerBytes + entryBytes * count, page);
    this.begin = position;
    const head = new Uint8Array(position);
    const table = head.subarray(headerBytes, headerBytes + entryBytes * count);
    for (const [index, section] of sections.entries()) {
      const hash = this.hashes.create64();
      const offset = position;
      for await (const chunk of section.chunks) position = await this.put(chunk, position, hash);
      writeEntry(table, index, section.name, offset, position - offset, hash.digest());
      position = roundUp(position, page);
    }
    await this.settle();
    const begin = position;
    if (long !== null) {
      const { bytes, hash } = await this.writeLong(long, begin, written, options);
      writeEntry(table, count - 1, long.name, begin, bytes, hash);
      position = roundUp(begin + bytes, page);
    }
    await this.finish(head, table, count, position);
    return begin;
  }

  private async writeLong(
    long: LongSection,
    begin: number,
    written: readonly Written[],
    { journal, progress = () => {} }: BundleOptions,
  ): Promise<{ bytes: number; hash: bigint }> {
    const { hash, end } = await this.found(begin, written, progress);
    // What lies behind is of a piece that was not finished.
    await this.file.truncate(begin + end);
    await journal?.restart(written.filter((piece) => piece.end <= end));
    this.begin = begin + end;
    let done = end;
    try {
      for await (const chunk of long.chunks(end)) {
        done = (await this.put(chunk, begin + done, hash)) - begin;
        progress(done);
        if (long.ends.has(done)) this.finished.push({ end: done, hash: hash.digest() });
        await this.note(begin, journal);
      }
      await this.settle();
      await this.note(begin, journal);
    } catch (cause) {
      // What was finished before is kept; why the file cannot be written is told by the first failure.
      await this.settle()
        .then(() => this.note(begin, journal))
        .catch(() => {});
      throw cause;
    }
    return { bytes: done, hash: hash.digest() };
  }

  /** Notes the finished pieces that are written. */
  private async note(begin: number, journal: Journal | undefined): Promise<void> {
    while (this.finished.length > 0 && begin + this.finished[0]!.end <= this.writtenTo) {
      const piece = this.finished.shift()!;
      await journal?.record(piece);
    }
  }

  /** Hashes a piece and copies it behind the last one, up to a page further on; returns where it ends. */
  private async put(chunk: Uint8Array, position: number, hash: Hash): Promise<number> {
    hash.update(chunk);
    const gap = position - this.begin - this.filled;
    if (gap > 0) await this.append(new Uint8Array(gap));
    await this.append(chunk);
    return position + chunk.length;
  }

  private async append(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      const room = windowBytes - (this.begin % windowBytes) - this.filled;
      const part = bytes.subarray(done, done + room);
      this.window.set(part, this.filled);
      this.filled += part.length;
      done += part.length;
      if (part.length === room) await this.writeWindow();
    }
  }

  /** Begins to write the window as far as it is filled, when the one before is written. */
  private async writeWindow(): Promise<void> {
    await this.written();
    const end = this.begin + this.filled;
    this.writing = writeAll(this.file, this.window.subarray(0, this.filled), this.begin);
    // Awaited later, by the next window: until then, a failure is nobody's.
    this.writing.catch(() => {});
    this.unflushed += this.filled;
    [this.window, this.spare] = [this.spare, this.window];
    [this.begin, this.filled] = [end, 0];
    if (this.unflushed >= flushBytes) {
      this.unflushed = 0;
      await this.flushing;
      this.flushing = this.file.datasync();
      this.flushing.catch(() => {});
    }
  }

  /** Waits for the window that is being written: all before the one that is being filled. */
  private async written(): Promise<void> {
    await this.writing;
    this.writtenTo = this.begin;
  }

  private async settle(): Promise<void> {
    if (this.filled > 0) await this.writeWindow();
    await this.written();
    await this.flushing;
  }

  /** Reads what is noted as written, and says up to where it agrees with its hashes. */
  private async found(
    begin: number,
    written: readonly Written[],
    progress: (done: number) => void,
  ): Promise<{ hash: Hash; end: number }> {
    const hash = this.hashes.create64();
    const buffer = new Uint8Array(readBytes);
    let position = 0;
    for (const [index, piece] of written.entries()) {
      while (position < piece.end) {
        const length = Math.min(buffer.length, piece.end - position);
        const { bytesRead } = await this.file.read(buffer, 0, length, begin + position);
        if (bytesRead === 0) break;
        hash.update(buffer.subarray(0, bytesRead));
        position += bytesRead;
        progress(position);
      }
      if (position === piece.end && hash.digest() === piece.hash) continue;
      // The hash has run into the piece that is wrong: begin anew with those before it.
      return this.found(begin, written.slice(0, index), progress);
    }
    return { hash, end: position };
  }

  private async finish(head: Uint8Array, table: Uint8Array, count: number, size: number): Promise<void> {
    await this.file.truncate(size);
    const view = new DataView(head.buffer);
    head.set(magic);
    view.setUint32(8, formatVersion, true);
    view.setUint32(12, count, true);
    view.setBigUint64(16, BigInt(size), true);
    view.setBigUint64(24, this.hashes.create64().update(table).digest(), true);
    await writeAll(this.file, head, 0);
    await this.file.sync();
  }
}

/** A write may take less than it is given, as the last one before a limit does. */
async function writeAll(file: FileHandle, chunk: Uint8Array, position: number): Promise<void> {
  let done = 0;
  while (done < chunk.length) {
    done += (await file.write(chunk, done, chunk.length - done, position + done)).bytesWritten;
  }
}

function writeEntry(
  table: Uint8Array,
  index: number,
  name: string,
  offset: number,
  bytes: number,
  hash: bigint,
): void {
  if (!/^[\x21-\x7e]{1,31}$/.test(name)) throw new Error(`bad section name ${name}`);
  const view = new DataView(table.buffer, table.byteOffset + entryBytes * index, entryBytes);
  for (let i = 0; i < name.length; i++) view.setUint8(i, name.charCodeAt(i));
  view.setBigUint64(32, BigInt(offset), true);
  view.setBigUint64(40, BigInt(bytes), true);
  view.setBigUint64(48, hash, true);
}
