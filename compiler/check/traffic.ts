import type { KernelTraffic } from "../cc/mock-driver.js";
import type { ProgramMode } from "../ir/program.js";
import type { WeightSource } from "../ir/steps.js";
import type { WeightReads } from "../report/self-check.js";
import type { Schedule } from "../schedule/program.js";

/**
 * Compares what a run loaded from matrices with their packed sizes. A launch reads the matrices of a dense kernel once,
 * however many tokens it has. Of a gated kernel it reads those of the tiers that its tokens take, each whole or not at
 * all: the nearest whole number of reads is predicted.
 */
export function weightReads(
  scheduled: Pick<Schedule, "kernels" | "programs" | "weights">,
  mode: ProgramMode,
  traffic: readonly KernelTraffic[],
): WeightReads {
  const matrices = new Map(
    scheduled.weights.items.flatMap(({ content, offset, bytes }) =>
      content.kind === "matrix" ? [[offset, { bytes, factor: isFactor(content.source) }]] : [],
    ),
  );
  const program = scheduled.programs[mode]!;
  const kernels = traffic.flatMap(({ symbol, launches, arguments: moved }) => {
    const index = scheduled.kernels.findIndex((kernel) => kernel.symbol === symbol);
    const kernel = scheduled.kernels[index];
    // A look-up reads rows, not the table.
    if (kernel === undefined || kernel.template === "embed") return [];
    const launch = [...program.body, ...program.head].find((one) => one.kernel === index)!;
    const read = launch.arguments.flatMap(({ buffer, offset }, slot) => {
      const matrix = buffer === "weights" ? matrices.get(offset) : undefined;
      return matrix === undefined ? [] : [{ ...matrix, loaded: moved[slot]!.loaded }];
    });
    if (read.length === 0) return [];
    const gated = read.length > 1 && read.some(({ factor }) => factor);
    const predicted = read.reduce(
      (sum, { bytes, loaded }) => sum + bytes * (gated ? Math.round(loaded / bytes) : launches),
      0,
    );
    const simulated = read.reduce((sum, { loaded }) => sum + loaded, 0);
    return [
      { symbol, launches, predicted_bytes: predicted / launches, simulated_bytes: simulated / launches },
    ];
  });
  const total = (of: "predicted_bytes" | "simulated_bytes") =>
    kernels.reduce((sum, kernel) => sum + kernel[of] * kernel.launches, 0);
  const [predicted, simulated] = [total("predicted_bytes"), total("simulated_bytes")];
  return {
    kernels,
    predicted_bytes: predicted,
    simulated_bytes: simulated,
    ratio: simulated / predicted,
  };
}

/** Whether the compiler made a matrix; all parts of a stack are of one kind. */
function isFactor(source: WeightSource): boolean {
  return source.kind === "stacked" ? source.parts.some(isFactor) : source.kind !== "stored";
}
