import { compileLibrary, type LibraryCode } from "../cc/index.js";
import type { CpuTarget } from "../config/target.js";
import type { Graph } from "../ir/graph.js";
import type { Plan } from "../ir/plan.js";
import type { Model } from "../models/model.js";
import { writeModelBundle } from "../pack/assemble.js";
import type { FactorSource } from "../pack/weights.js";
import type { Schedule } from "../schedule/program.js";
import type { Progress } from "../support/progress.js";

/** Compiles a schedule's kernels for CPUs, showing how far it is. */
export async function compileForCpus(
  { kernels }: Schedule,
  targets: readonly CpuTarget[],
  title: string,
  progress: Progress,
): Promise<LibraryCode[]> {
  const update = progress.stage(title);
  const code: LibraryCode[] = [];
  for (const target of targets) {
    const done = code.length * kernels.length;
    const total = targets.length * kernels.length;
    code.push(await compileLibrary(kernels, target, (count) => update(done + count, total)));
  }
  return code;
}

/** What a bundle that the compiler runs for itself is made from. */
interface WorkBundle {
  readonly model: Model;
  readonly graph: Graph;
  readonly schedule: Schedule;
  readonly code: readonly LibraryCode[];
  readonly factors: FactorSource;
}

/** Writes a bundle that the compiler runs for itself; all its programs are modes of it, in their order. */
export async function writeWorkBundle(
  path: string,
  { model, graph, schedule, code, factors }: WorkBundle,
  progress: ReturnType<Progress["stage"]>,
): Promise<void> {
  const plan: Plan = { graph, linears: new Map(), groups: [] };
  const modes = Object.keys(schedule.programs);
  await writeModelBundle(path, { model, plan, schedule, modes, code, factors }, { progress });
}
