import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { runTool } from "../cc/tool.js";
import type { ValueId } from "../ir/graph.js";
import type { Plan } from "../ir/plan.js";
import { readAt, withFile } from "../read/file.js";
import { readSafetensorsHeader } from "../read/safetensors-header.js";
import { temporaryFolder } from "../support/temporary.js";
import { type Laboratory, type MeasuredText, writeVariants } from "./variants.js";

/** Tokens whose inputs gates are judged by. */
const maxSamples = 1024;

/** Inputs X [n, d] of linears at some tokens of a text, on disk. */
export interface Samples {
  /** X of one input, read when it is asked for. */
  read(input: ValueId): Float32Array;
  close(): Promise<void>;
}

/** Of how many tokens a sample is taken, in windows evenly spaced over a text. */
const maxTokens = 2048;

/**
 * Runs the dense model over windows of a text, evenly spaced, and keeps what its linears read at up to 1024 tokens, evenly
 * spaced too.
 */
export async function sampleInputs(laboratory: Laboratory, plan: Plan, text: MeasuredText): Promise<Samples> {
  const folder = await temporaryFolder("inputs");
  const close = () => rm(folder, { recursive: true, force: true });
  try {
    const [bundle, ids, out] = ["dense.gsi", "ids", "inputs.safetensors"].map((name) =>
      join(folder, name),
    ) as [string, string, string];
    await writeVariants(bundle, laboratory, plan, [], text.window);
    await writeFile(ids, spacedWindows(text, maxTokens));
    const settings = ["--window", String(text.window), "--most", String(maxSamples), "--out", out];
    const update = laboratory.progress.stage("Looking at the inputs of linears");
    await runTool(["inputs", bundle, "--ids-file", ids, ...settings], update);
    const { tensors } = readSafetensorsHeader(out);
    const read = (input: ValueId) => {
      const { offset, bytes } = tensors.get(input)!;
      const data = withFile(out, (file) => readAt(file, offset, bytes));
      return new Float32Array(data.buffer, data.byteOffset, bytes / 4);
    };
    return { read, close };
  } catch (cause) {
    await close();
    throw cause;
  }
}

/** Windows of a text, evenly spaced, that have about so many tokens; one at least. */
export function spacedWindows(
  { ids, window }: Pick<MeasuredText, "ids" | "window">,
  most: number,
): Int32Array {
  const all = Math.ceil(ids.length / window);
  const count = Math.min(all, Math.max(1, Math.floor(most / window)));
  const starts = Array.from({ length: count }, (_, i) => Math.floor((i * all) / count) * window);
  return Int32Array.from(starts.flatMap((start) => [...ids.subarray(start, start + window)]));
}
