import { type FileHandle, open } from "node:fs/promises";
import xxhash from "xxhash-wasm";
import { GsicError, messageOf } from "../errors.js";
import { roundUp } from "../schedule/layout.js";

/** A section of a .gsi file; `chunks` is read once. */
export interface Section {
  /** At most 31 ASCII characters. */
  readonly name: string;
  readonly chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

const magic = Uint8Array.from([0x47, 0x53, 0x49, 0x43, 0x1a, 0x0a, 0x00, 0x01]);
const formatVersion = 1;
const headerBytes = 32;
const entryBytes = 64;
const page = 4096;

/**
 * Writes a .gsi file; the format stands in runtime/src/bundle.h. Sections are streamed in order, the table of their
 * hashes is written last. Throws `disk-full` or `output-unwritable` (category environment).
 */
export async function writeBundle(path: string, sections: readonly Section[]): Promise<void> {
  try {
    const file = await open(path, "wx");
    try {
      await writeSections(file, sections);
    } finally {
      await file.close();
    }
  } catch (cause) {
    if (cause instanceof GsicError || (cause as NodeJS.ErrnoException).code === undefined) throw cause;
    const full = (cause as NodeJS.ErrnoException).code === "ENOSPC";
    throw new GsicError({
      category: "environment",
      code: full ? "disk-full" : "output-unwritable",
      message: full ? "the disk is full" : messageOf(cause),
      where: path,
      hint: full ? "free space, or choose another folder with --out" : "choose another folder with --out",
      cause,
    });
  }
}

async function writeSections(file: FileHandle, sections: readonly Section[]): Promise<void> {
  const { create64 } = await xxhash();
  const begin = roundUp(headerBytes + entryBytes * sections.length, page);
  const head = new Uint8Array(begin);
  const view = new DataView(head.buffer);
  let position = begin;
  for (const [index, section] of sections.entries()) {
    const hash = create64();
    const offset = position;
    for await (const chunk of section.chunks) {
      hash.update(chunk);
      await file.write(chunk, 0, chunk.length, position);
      position += chunk.length;
    }
    writeEntry(
      view,
      headerBytes + entryBytes * index,
      section.name,
      offset,
      position - offset,
      hash.digest(),
    );
    position = roundUp(position, page);
  }
  await file.truncate(position);
  const table = head.subarray(headerBytes, headerBytes + entryBytes * sections.length);
  head.set(magic);
  view.setUint32(8, formatVersion, true);
  view.setUint32(12, sections.length, true);
  view.setBigUint64(16, BigInt(position), true);
  view.setBigUint64(24, create64().update(table).digest(), true);
  await file.write(head, 0, head.length, 0);
  await file.sync();
}

function writeEntry(
  view: DataView,
  at: number,
  name: string,
  offset: number,
  bytes: number,
  hash: bigint,
): void {
  if (!/^[\x21-\x7e]{1,31}$/.test(name)) throw new Error(`bad section name ${name}`);
  for (let i = 0; i < name.length; i++) view.setUint8(at + i, name.charCodeAt(i));
  view.setBigUint64(at + 32, BigInt(offset), true);
  view.setBigUint64(at + 40, BigInt(bytes), true);
  view.setBigUint64(at + 48, hash, true);
}
