import { badInput, fetchAgain, type OpenFile, readAt } from "./file.js";
import { checkedSize, rangeFits } from "./sizes.js";

/** What begins a .gsi file; runtime/src/bundle.h has the format. */
export const bundleLayout = {
  magic: Uint8Array.from([0x47, 0x53, 0x49, 0x43, 0x1a, 0x0a, 0x00, 0x01]),
  formatVersion: 1,
  headerBytes: 32,
  /** Of the table: one a section. */
  entryBytes: 64,
  mostSections: 64,
} as const;

/** Where a section of a .gsi file lies. */
interface SectionPlace {
  readonly name: string;
  readonly offset: number;
  readonly bytes: number;
}

/**
 * The sections of a .gsi file, in order. Places are checked, hashes are not.
 * Throws `bundle-malformed` (category data).
 */
export function readSections(opened: OpenFile): readonly SectionPlace[] {
  const { magic, formatVersion, headerBytes, entryBytes, mostSections } = bundleLayout;
  const { file, size } = opened;
  const refuse = (offset: number, message: string) =>
    badInput("bundle-malformed", message, `${file}: byte ${offset}`, fetchAgain);
  if (size < headerBytes) throw refuse(size, `the file ends inside the header of ${headerBytes} bytes`);
  const head = Buffer.from(readAt(opened, 0, headerBytes));
  if (!head.subarray(0, magic.length).equals(magic)) throw refuse(0, "this is not a .gsi file");
  if (head.readUInt32LE(8) !== formatVersion) throw refuse(8, "the format version is another");
  const count = head.readUInt32LE(12);
  if (count === 0 || count > mostSections) throw refuse(12, `a number of ${count} sections makes no sense`);
  if (head.readBigUInt64LE(16) !== BigInt(size))
    throw refuse(16, `the file has ${size} bytes, not what it promises`);
  const end = headerBytes + entryBytes * count;
  if (end > size) throw refuse(size, "the file ends inside the section table");
  const table = Buffer.from(readAt(opened, headerBytes, entryBytes * count));
  return Array.from({ length: count }, (_, index) => {
    const at = entryBytes * index;
    const name = table.toString("latin1", at, at + 32).replace(/\0+$/, "");
    if (!/^[\x21-\x7e]+$/.test(name))
      throw refuse(headerBytes + at, "a section's name is not printable ASCII");
    const subject = { file, offset: headerBytes + at + 32 };
    const offset = checkedSize(table.readBigUInt64LE(at + 32), "section's offset", subject);
    const bytes = checkedSize(table.readBigUInt64LE(at + 40), "section's size", subject);
    if (!rangeFits(offset, bytes, size, subject) || offset < end)
      throw refuse(subject.offset, `section ${JSON.stringify(name)} is not inside the file`);
    return { name, offset, bytes };
  });
}
