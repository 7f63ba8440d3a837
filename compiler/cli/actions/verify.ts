import { resolve } from "node:path";
import { compareWithChecksums, type Difference, readChecksums } from "../../build-folder/checksums.js";
import { checkSignature, signBuild } from "../../build-folder/signature.js";
import { GsicError } from "../../support/errors.js";
import type { Json } from "../options.js";
import { print } from "../output.js";

/** `gsic verify`. Throws `build-changed` (category data). */
export async function verify(path: string, options: Json & { readonly key?: string }): Promise<void> {
  const folder = resolve(path);
  if (options.key !== undefined) checkSignature(folder, options.key);
  const differences = await compareWithChecksums(folder);
  const { parts } = readChecksums(folder);
  const signed = options.key !== undefined;
  if (options.json)
    print(JSON.stringify({ folder, ok: differences.length === 0, parts: parts.length, signed, differences }));
  if (differences.length > 0) throw changed(folder, differences);
  if (!options.json)
    print(
      `${parts.length} files and sections are what was recorded${signed ? ", and the signature is right" : ""}`,
    );
}

/** `gsic sign`. Throws as `verify`. */
export async function sign(path: string, { key }: { readonly key: string }): Promise<void> {
  const folder = resolve(path);
  const differences = await compareWithChecksums(folder);
  if (differences.length > 0) throw changed(folder, differences);
  await signBuild(folder, key);
  print(`${folder} is signed`);
}

/** Differences that one message names. */
const named = 10;

function changed(folder: string, differences: readonly Difference[]): GsicError {
  const texts = differences
    .slice(0, named)
    .map(({ file, section, what }) => `${section === null ? file : `${file}, section ${section}`}: ${what}`);
  const more = differences.length - texts.length;
  return new GsicError({
    category: "data",
    code: "build-changed",
    message: `this is not what was built: ${texts.join("; ")}${more > 0 ? `; and ${more} more` : ""}`,
    where: folder,
    hint: "do not run it; copy it again from where it was made, or build it again",
  });
}
