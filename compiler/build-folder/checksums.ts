/** What a build consists of, by SHA-256: recorded when it is made, and compared by `gsic verify`. */

import { createHash } from "node:crypto";
import { closeSync, createReadStream, lstatSync, readdirSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { buildFiles } from "../config/build-files.js";
import { readSections } from "../read/bundle-sections.js";
import { badInput, openFile, readText } from "../read/file.js";
import { GsicError, messageOf } from "../support/errors.js";
import { writeWhole } from "../support/replace-file.js";
import { version } from "../support/version.js";

/** A part of a build: a file, or of a bundle its header or a section. */
interface Part {
  /** Relative to the build folder; folders are separated by `/`. */
  readonly file: string;
  /** Of a .gsi file: `header`, or the section's name. */
  readonly section?: string;
  readonly bytes: number;
  /** Hexadecimal. */
  readonly sha256: string;
}

/** `checksums.json`. */
interface Checksums {
  /** The version of gsic that recorded them. */
  readonly gsic: string;
  /** In the order of their names; sections in the file's order. */
  readonly parts: readonly Part[];
}

/** How a part is not what was recorded. */
export interface Difference {
  readonly file: string;
  readonly section: string | null;
  readonly what: "changed" | "missing" | "not recorded";
}

/** No build has a hundredth of so many files: a record this large is none. */
const maxBytes = 1 << 24;

/** Files that say something about the others. */
const apart: readonly string[] = [buildFiles.checksums, buildFiles.signature];

/** Records what a build folder holds. Throws `build-not-plain` (category data). */
export async function recordChecksums(folder: string): Promise<void> {
  const checksums: Checksums = { gsic: version, parts: await partsOf(folder, filesOf(folder)) };
  await write(folder, checksums);
}

/**
 * Records anew files that gsic itself has changed, and nothing else: what was measured later. A build without a record
 * stays without.
 */
export async function updateChecksums(folder: string, files: readonly string[]): Promise<void> {
  let before: Checksums;
  try {
    before = readChecksums(folder);
  } catch (error) {
    if (error instanceof GsicError && error.code === "checksums-missing") return;
    throw error;
  }
  const now = await partsOf(folder, files);
  const kept = before.parts.filter(({ file }) => !files.includes(file));
  await write(folder, { ...before, parts: [...kept, ...now].sort(byFile) });
}

/**
 * Compares a build folder with its record; an empty list says that they agree. Throws `checksums-missing`,
 * `checksums-malformed` and `build-not-plain` (category data), and what `openFile` throws.
 */
export async function compareWithChecksums(folder: string): Promise<readonly Difference[]> {
  const { parts } = readChecksums(folder);
  const key = ({ file, section }: Pick<Part, "file" | "section">) => JSON.stringify([file, section ?? null]);
  const found = new Map((await partsOf(folder, filesOf(folder))).map((part) => [key(part), part]));
  const recorded = new Map(parts.map((part) => [key(part), part]));
  const difference = ({ file, section }: Part, what: Difference["what"]): Difference => ({
    file,
    section: section ?? null,
    what,
  });
  return [
    ...parts.flatMap((part): Difference[] => {
      const now = found.get(key(part));
      if (now === undefined) return [difference(part, "missing")];
      return now.sha256 === part.sha256 && now.bytes === part.bytes ? [] : [difference(part, "changed")];
    }),
    ...[...found.values()]
      .filter((part) => !recorded.has(key(part)))
      .map((part) => difference(part, "not recorded")),
  ];
}

/** The record of a build. Throws `checksums-missing` and `checksums-malformed` (category data). */
export function readChecksums(folder: string): Checksums {
  const file = join(folder, buildFiles.checksums);
  let text: string;
  try {
    text = readText(file, maxBytes);
  } catch (cause) {
    if (!(cause instanceof GsicError) || cause.code !== "file-missing") throw cause;
    throw new GsicError({
      category: "data",
      code: "checksums-missing",
      message: "this build has no record of what it consists of",
      where: file,
      hint: "builds of gsic 0.1 have none: build again: gsic build <model.toml>",
      cause,
    });
  }
  try {
    const checksums = JSON.parse(text) as Checksums;
    if (Array.isArray(checksums.parts) && checksums.parts.every(isPart)) return checksums;
    throw new Error("it does not list parts with their SHA-256");
  } catch (cause) {
    throw badInput("checksums-malformed", messageOf(cause), file, "build again: gsic build <model.toml>");
  }
}

function isPart(value: unknown): value is Part {
  if (typeof value !== "object" || value === null) return false;
  const { file, section, bytes, sha256 } = value as Record<keyof Part, unknown>;
  const named = typeof file === "string" && (section === undefined || typeof section === "string");
  return named && Number.isSafeInteger(bytes) && typeof sha256 === "string" && /^[0-9a-f]{64}$/.test(sha256);
}

function write(folder: string, checksums: Checksums): Promise<void> {
  return writeWhole(join(folder, buildFiles.checksums), `${JSON.stringify(checksums, null, 1)}\n`);
}

const byFile = (a: Part, b: Part) => (a.file < b.file ? -1 : a.file > b.file ? 1 : 0);

/** Every file below a build folder but those about the others, sorted. */
function filesOf(folder: string): string[] {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).flatMap((entry) => {
    const path = join(entry.parentPath, entry.name);
    if (entry.isDirectory()) return [];
    // A link may lead to what changes later, or out of the folder.
    if (!lstatSync(path).isFile())
      throw badInput(
        "build-not-plain",
        "a build holds files and folders alone",
        path,
        "remove it, or build again",
      );
    return [relative(folder, path).replaceAll(sep, "/")];
  });
  return files.filter((file) => !apart.includes(file)).sort();
}

async function partsOf(folder: string, files: readonly string[]): Promise<Part[]> {
  const parts: Part[] = [];
  for (const file of files) {
    if (file.endsWith(".gsi")) parts.push(...(await bundleParts(folder, file)));
    else parts.push(await fileParts(folder, file));
  }
  return parts;
}

async function fileParts(folder: string, file: string): Promise<Part> {
  const path = join(folder, file);
  const { bytes, sha256 } = await digest(path, 0, Number.POSITIVE_INFINITY);
  return { file, bytes, sha256 };
}

/**
 * The header with all that is no section, and the sections. A file that is no bundle any more is one part, which no
 * record has.
 */
async function bundleParts(folder: string, file: string): Promise<Part[]> {
  const path = join(folder, file);
  const opened = openFile(path);
  try {
    const sections = readSections(opened);
    const hash = createHash("sha256");
    let bytes = 0;
    // What lies between sections: the table in front, and padding.
    const gaps = sections.map(({ offset }, index) => {
      const before = sections[index - 1];
      return [before === undefined ? 0 : before.offset + before.bytes, offset] as const;
    });
    const last = sections.at(-1)!;
    for (const [begin, end] of [...gaps, [last.offset + last.bytes, opened.size] as const])
      bytes += await update(hash, path, begin, end);
    const parts: Part[] = [{ file, section: "header", bytes, sha256: hash.digest("hex") }];
    for (const { name, offset, bytes: length } of sections)
      parts.push({ file, section: name, ...(await digest(path, offset, offset + length)) });
    return parts;
  } catch (error) {
    if (error instanceof GsicError && error.code === "bundle-malformed")
      return [await fileParts(folder, file)];
    throw error;
  } finally {
    closeSync(opened.descriptor);
  }
}

async function digest(path: string, begin: number, end: number): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash("sha256");
  const bytes = await update(hash, path, begin, end);
  return { bytes, sha256: hash.digest("hex") };
}

/** Hashes the bytes from `begin` to before `end` of a file; returns how many there were. */
async function update(
  hash: ReturnType<typeof createHash>,
  path: string,
  begin: number,
  end: number,
): Promise<number> {
  if (end <= begin) return 0;
  let bytes = 0;
  const range = { start: begin, end: end - 1, highWaterMark: 1 << 20 };
  for await (const chunk of createReadStream(path, range)) {
    hash.update(chunk as Buffer);
    bytes += (chunk as Buffer).length;
  }
  return bytes;
}
