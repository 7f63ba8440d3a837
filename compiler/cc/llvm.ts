import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { GsicError } from "../support/errors.js";
import { execute } from "../support/process.js";
import { temporaryFolder } from "../support/temporary.js";

const found = new Map<string, Promise<string | null>>();

/** The path of an LLVM tool such as `llvm-objdump`: ROCm's own, or the newest that answers; null without one. */
export function findLlvmTool(name: string): Promise<string | null> {
  const known = found.get(name) ?? probe(name);
  found.set(name, known);
  return known;
}

async function probe(name: string): Promise<string | null> {
  const versions = [22, 21, 20, 19, 18, 17].map((version) => `${name}-${version}`);
  for (const command of [`/opt/rocm/llvm/bin/${name}`, ...versions, name]) {
    const outcome = await execute(command, ["--version"]).catch(() => null);
    if (outcome?.code === 0) return command;
  }
  return null;
}

/**
 * What llvm-objdump prints of a code object for AMD's devices, with addresses. Throws `objdump-missing` (category
 * environment), and `objdump-failed` (category data) where it cannot read the object.
 */
export async function disassemble(object: Uint8Array): Promise<string> {
  const tool = await findLlvmTool("llvm-objdump");
  if (tool === null)
    throw new GsicError({
      category: "environment",
      code: "objdump-missing",
      message: "no llvm-objdump on this machine answers, which takes machine code apart",
      hint: "install LLVM's tools (Debian: apt-get install llvm-19)",
    });
  const folder = await temporaryFolder("objdump");
  try {
    const file = join(folder, "object");
    await writeFile(file, object);
    const { code, stdout, stderr } = await execute(tool, ["--disassemble", "--no-show-raw-insn", file]);
    if (code === 0) return stdout;
    throw new GsicError({
      category: "data",
      code: "objdump-failed",
      message: `${tool} cannot read a code object: ${stderr.trim()}`,
      hint: "build the model again",
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
