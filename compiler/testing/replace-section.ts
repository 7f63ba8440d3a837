import { closeSync } from "node:fs";
import { writeBundle } from "../pack/bundle.js";
import { readSections } from "../read/bundle-sections.js";
import { openFile, readAt } from "../read/file.js";

/** Writes a copy of a bundle in which one section has another payload, with hashes that are right. */
export async function replaceSection(
  bundle: string,
  out: string,
  section: string,
  payload: Uint8Array,
): Promise<void> {
  const opened = openFile(bundle);
  try {
    const sections = readSections(opened).map(({ name, offset, bytes }) => ({
      name,
      chunks: [name === section ? payload : readAt(opened, offset, bytes)],
    }));
    await writeBundle(out, sections);
  } finally {
    closeSync(opened.descriptor);
  }
}
