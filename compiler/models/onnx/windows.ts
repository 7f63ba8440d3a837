import type { OnnxFile, OnnxNode } from "../../read/onnx.js";
import { isWhole } from "../../read/onnx-tensor.js";
import { isCausal } from "./attention.js";
import { numbersOf, tensorData } from "./call.js";
import { evaluatorOf } from "./evaluate.js";
import { expanded, pickData } from "./layout.js";
import { type Data, elementsOf, type MaskSource, Unmatched } from "./value.js";

/** Longest window that is looked for, and most numbers that may be one. */
const [maxWindow, maxNumbers] = [1 << 24, 256];

/**
 * The window of a mask: how many positions a query sees, its own and those before it; null: all. A short text does not
 * show a long window, so each whole number that the mask follows from is set to 2 for once: if a query then sees so few
 * positions, that number was the window. Throws `Unmatched` for what is no causal mask.
 */
export function windowFinder(
  file: OnnxFile,
): (masks: readonly MaskSource[], seen: Uint8Array) => number | null {
  const known = new Map<string, number | null>();
  return (masks, seen) => {
    const tokens = Math.sqrt(seen.length);
    for (let window = 1; window < tokens; window++) if (isCausal(seen, tokens, window)) return window;
    if (!isCausal(seen, tokens)) throw new Unmatched("sees other positions than its own and those before it");
    const key = JSON.stringify(masks);
    const window = known.has(key) ? known.get(key)! : search(file, masks, tokens);
    known.set(key, window);
    return window;
  };
}

function search(file: OnnxFile, masks: readonly MaskSource[], tokens: number): number | null {
  const found = new Set<number>();
  const { numbers, tables } = constantsOf(
    file,
    masks.map(({ name }) => name),
    tokens,
  );
  for (const table of tables) {
    const window = windowOfTable(table);
    if (window !== null) found.add(window);
  }
  if (numbers.length > maxNumbers)
    throw new Unmatched(`has a mask that follows from ${numbers.length} numbers`);
  for (const { name, value } of numbers) {
    const { evaluator } = evaluatorOf(file, () => null, new Map([[name, 2 * Math.sign(value)]]));
    try {
      const seen = seenTogether(
        masks.map(({ name: mask, counts }) => ({ mask: numbersOf(evaluator.value(mask)), counts })),
        tokens,
      );
      for (const size of [1, 2, 3]) if (isCausal(seen, tokens, size)) found.add(Math.abs(value) - 2 + size);
    } catch {
      // With that number the mask is none at all, so it was no window.
    }
  }
  if (found.size > 1) throw new Unmatched(`has several windows: ${[...found].join(", ")}`);
  return [...found][0] ?? null;
}

/** Constants that these values follow from: whole numbers larger than the text, and square tables of masks. */
function constantsOf(file: OnnxFile, names: readonly string[], tokens: number) {
  const makers = new Map<string, OnnxNode>();
  for (const node of file.nodes) for (const output of node.outputs) makers.set(output, node);
  // A table that only a shape is taken of says nothing about masks.
  const direct = new Set(names);
  for (const name of direct) {
    const node = makers.get(name);
    if (node?.opType !== "Shape" && node?.opType !== "Size")
      for (const input of node?.inputs ?? []) direct.add(input);
  }
  const seen = new Set(names);
  const numbers: { readonly name: string; readonly value: number }[] = [];
  const tables: Data[] = [];
  for (const name of seen) {
    const node = makers.get(name);
    for (const input of node?.inputs ?? []) seen.add(input);
    const constant = node?.opType === "Constant" ? node.attributes.get("value") : file.initializers.get(name);
    if (typeof constant !== "object" || !("element" in constant) || constant.element === null) continue;
    const { shape } = constant;
    if (isWhole(constant.element) && elementsOf(shape) === 1) {
      const value = tensorData(constant).values[0]!;
      if (Math.abs(value) > tokens && Math.abs(value) < maxWindow) numbers.push({ name, value });
    }
    const rows = shape.at(-2) ?? 1;
    if (direct.has(name) && rows > tokens && rows === shape.at(-1) && elementsOf(shape) === rows ** 2)
      tables.push(tensorData(constant));
  }
  return { numbers, tables };
}

/** The window of a table [positions, positions], of which a short text sees the first rows only; null: all is seen. */
function windowOfTable({ shape, values, whole }: Data): number | null {
  const rows = shape.at(-1)!;
  const truths = Uint8Array.from(values, (x) => Number(whole ? x !== 0 : x > -1e4));
  for (const seen of [truths, truths.map((x) => 1 - x)]) {
    const last = seen.subarray(-rows);
    const window = last.reduce((sum, x) => sum + x, 0);
    if (window > 0 && isCausal(seen, rows, window)) return window === rows ? null : window;
  }
  throw new Unmatched(`has a table of masks [${shape}] that hides more than later positions`);
}

/** What a query sees through all of these masks. */
function seenTogether(
  masks: readonly { readonly mask: Data; readonly counts: boolean | null }[],
  tokens: number,
): Uint8Array {
  const seen = new Uint8Array(tokens * tokens).fill(1);
  for (const { mask, counts } of masks) {
    const { values } = pickData(mask, expanded(mask.shape, [1, 1, tokens, tokens]));
    for (const place of seen.keys()) {
      const x = values[place]!;
      if (counts === null ? x <= -1e4 : (x !== 0) !== counts) seen[place] = 0;
    }
  }
  return seen;
}
