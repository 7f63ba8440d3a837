/** The instructions of a code object for AMD's devices, as llvm-objdump prints them. */

/** What a compute unit does an instruction with; `idle` ones take issue slots and do nothing. */
export type Unit =
  | "vector"
  | "matrix"
  | "scalar"
  | "lds"
  | "load"
  | "store"
  | "scalar-load"
  | "wait"
  | "idle"
  | "barrier"
  | "branch";

/** An instruction of a kernel. */
export interface Instruction {
  readonly address: number;
  /** As the assembler takes it. */
  readonly text: string;
  /** Its first word. */
  readonly name: string;
  readonly unit: Unit;
  /** The address that a branch goes to; null of others. */
  readonly target: number | null;
}

/** Reads what llvm-objdump prints; instructions of other symbols, and what only fills up the section, are among them. */
export function readInstructions(disassembly: string): readonly Instruction[] {
  const found: Instruction[] = [];
  let begin = 0;
  for (const line of disassembly.split("\n")) {
    const symbol = /^([0-9a-f]+) <.*>:$/.exec(line);
    if (symbol) begin = Number.parseInt(symbol[1]!, 16);
    // The text may run up to the comment.
    const parts = /^\t(\S.*?)\s*\/\/ ([0-9A-F]+):(.*)$/.exec(line);
    if (!parts) continue;
    const [, text, address, rest] = parts as unknown as [string, string, string, string];
    const name = text.split(/\s/, 1)[0]!;
    const unit = unitOf(name);
    const offset = unit === "branch" ? /<[^>]*\+0x([0-9a-f]+)>\s*$/.exec(rest)?.[1] : undefined;
    const target = offset === undefined ? null : begin + Number.parseInt(offset, 16);
    found.push({ address: Number.parseInt(address, 16), text, name, unit, target });
  }
  return found;
}

function unitOf(name: string): Unit {
  if (/^v_s?mfma/.test(name)) return "matrix";
  if (name.startsWith("v_")) return "vector";
  if (name.startsWith("ds_")) return "lds";
  if (/^(global|flat|buffer|scratch)_(load|atomic)/.test(name)) return "load";
  if (/^(global|flat|buffer|scratch)_/.test(name)) return "store";
  if (/^s_(buffer_)?load|^s_(memtime|memrealtime)/.test(name)) return "scalar-load";
  if (name.startsWith("s_waitcnt")) return "wait";
  if (name === "s_nop" || name === "s_sleep" || name.startsWith("s_set")) return "idle";
  if (name === "s_barrier") return "barrier";
  if (/^s_(c?branch|endpgm|setpc|swappc)/.test(name)) return "branch";
  return "scalar";
}

/** Bytes that a lane loads. */
export function loadedBytes({ name }: Instruction): number {
  const words = /_dword(?:x(\d))?$/.exec(name);
  if (words) return 4 * Number(words[1] ?? 1);
  return /byte|_d16_/.test(name) ? 1 : 2;
}

/** Whether a load streams what is read once, as weights are; gfx90a has two bits for it. */
export function isStream({ unit, text }: Instruction): boolean {
  return unit === "load" && /( nt| glc slc)$/.test(text);
}
