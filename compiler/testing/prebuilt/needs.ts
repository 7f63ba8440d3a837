import { execute } from "../../support/process.js";

/** The n of the newest glibc 2.n whose symbols a program or library asks for; 0 if it asks for none. */
export async function glibcNeeded(file: string): Promise<number> {
  const { code, stdout, stderr } = await execute("objdump", ["-T", file]);
  if (code !== 0) throw new Error(`objdump -T ${file} ended with ${code}: ${stderr}`);
  return Math.max(0, ...[...stdout.matchAll(/GLIBC_2\.(\d+)/g)].map(([, minor]) => Number(minor)));
}
