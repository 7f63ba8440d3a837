import type { ValueId } from "../ir/graph.js";
import type { Algebra } from "./algebra.js";
import { leadingDirections } from "./factors.js";
import type { StatsFile } from "./stats-file.js";

/** How much of an input's energy E||x||^2 the leading k directions hold: the best ones, and those that a sketch finds. */
export interface SketchError {
  readonly input: ValueId;
  readonly d: number;
  readonly k: number;
  readonly width: number;
  /** Share of the energy, from 0 to 1, in the leading k eigenvectors of the exact second moment. */
  readonly exact: number;
  /** Share of the energy in the k directions of a sketch of that width. */
  readonly sketched: number;
}

/** The seed that calibration uses: runtime/tools/sketch.h. */
const seed = 0x67736963;

/** Sketches one input's exact second moment for every (k, width), and compares; null where the file has a sketch alone. */
export async function sketchErrors(
  stats: StatsFile,
  input: ValueId,
  settings: readonly { readonly k: number; readonly width: number }[],
  algebra: Algebra,
): Promise<SketchError[] | null> {
  const d = stats.inputs.get(input)!;
  const exact = stats.read(input, d);
  if (exact.secondMoment.kind !== "exact") return null;
  const { matrix } = exact.secondMoment;
  let trace = 0;
  for (let i = 0; i < d; i++) trace += matrix[i * d + i]!;
  const shareOf = async (vectors: Float32Array) =>
    (await algebra.captured(matrix, vectors, d)).reduce((sum, energy) => sum + energy, 0) / trace;
  const most = Math.max(...settings.map(({ k }) => k));
  const best = await leadingDirections(exact, Math.min(most, d), algebra);
  const errors: SketchError[] = [];
  for (const { k, width } of settings.filter((one) => one.width < d)) {
    const product = await algebra.sketch(matrix, d, width, seed);
    const sketch = { ...exact, secondMoment: { kind: "sketch", width, seed, product } as const };
    const found = await leadingDirections(sketch, k, algebra);
    const shares = { exact: await shareOf(best.subarray(0, k * d)), sketched: await shareOf(found) };
    errors.push({ input, d, k, width, ...shares });
  }
  return errors;
}

/**
 * The errors of many inputs, a line for each setting: the worst ratio of captured energies and its mean, and the same
 * of the energy that is left, (1 - sketched) / (1 - exact), which decides how often gates close.
 */
export function sketchErrorTable(errors: readonly SketchError[]): string {
  const groups = new Map<string, SketchError[]>();
  for (const error of errors) {
    const key = `${error.d} ${error.k} ${error.width}`;
    groups.set(key, [...(groups.get(key) ?? []), error]);
  }
  const lines = [...groups.values()].map((list) => {
    const { d, k, width } = list[0]!;
    const captured = list.map(({ exact, sketched }) => sketched / exact);
    const left = list.map(({ exact, sketched }) => (1 - sketched) / Math.max(1 - exact, 1e-12));
    const exact = mean(list.map((one) => one.exact));
    const columns = [exact, mean(captured), Math.min(...captured), mean(left), Math.max(...left)];
    return [d, k, width, list.length, ...columns.map((value) => value.toFixed(5))].join(" | ");
  });
  return `d | k | l | inputs | exact share | captured: mean | worst | left: mean | worst\n${lines.join("\n")}`;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
