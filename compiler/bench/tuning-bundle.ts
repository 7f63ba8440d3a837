import type { TargetCode } from "../cc/index.js";
import type { Graph } from "../ir/graph.js";
import type { Kernel } from "../ir/program.js";
import { codeSection, manifestOf } from "../pack/assemble.js";
import { writeBundle } from "../pack/bundle.js";
import type { Schedule } from "../schedule/program.js";

/** Bytes in place of weights: a bundle has some. */
const noWeights = 64;

/**
 * Writes a bundle of kernels alone, for `gsic-tool launches`: no weights, and a program without launches. `scheduled`
 * gives the sizes of the session's buffers.
 */
export async function writeTuningBundle(
  path: string,
  {
    graph,
    scheduled,
    kernels,
    code,
  }: {
    readonly graph: Graph;
    readonly scheduled: Schedule;
    readonly kernels: readonly Kernel[];
    readonly code: TargetCode;
  },
): Promise<void> {
  const exact = scheduled.programs.exact!;
  const manifest = manifestOf({
    graph,
    schedule: {
      ...scheduled,
      kernels,
      weights: { ...scheduled.weights, bytes: noWeights },
      programs: { exact: { ...exact, body: [], head: [], taps: [], greedy: null, gates: [] } },
    },
    modes: ["exact"],
    code: [code],
    bytesPerToken: { exact: 0 },
  });
  await writeBundle(path, [
    { name: "manifest", chunks: [new TextEncoder().encode(JSON.stringify(manifest))] },
    codeSection(code),
    { name: "weights", chunks: [new Uint8Array(noWeights)] },
  ]);
}
