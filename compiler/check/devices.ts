import { mockDriverEnvironment } from "../cc/mock-driver.js";
import { type ByDevice, type GpuTarget, ofTarget, type Target } from "../config/target.js";
import type { SelfCheck } from "../report/self-check.js";
import type { Schedule } from "../schedule/program.js";
import type { Progress } from "../support/progress.js";

/** The environment of a run that leaves its account of what kernels read in a file. */
type Accounting = (account: string) => Readonly<Record<string, string>>;

/** How a build is run where it is made, to be compared with the oracle. */
interface Checker {
  /** What computes. */
  readonly by: SelfCheck["computed_by"];
  /** Above this fraction of the largest logit, a build is refused. */
  readonly tolerance: number;
  /** Prepares runs; null where they need nothing, and give no account. */
  prepare(scheduled: Pick<Schedule, "kernels" | "weights">, progress: Progress): Promise<Accounting | null>;
}

/** CPUs run their own kernels. */
const native: Checker = { by: "cpu", tolerance: 1e-4, prepare: async () => null };

/** Kernels of GPUs run on simulated lanes: a build needs no device. They may round activations. */
function simulated(target: GpuTarget): Checker {
  return {
    by: "simulation",
    tolerance: 1e-3,
    prepare({ kernels, weights }, progress) {
      const what = `Compiling ${kernels.length} kernels for a simulation of ${target.name}`;
      const update = progress.stage(what);
      return mockDriverEnvironment(kernels, target.gpu.wave, {
        weightBytes: weights.bytes,
        progress: (done) => update(done, kernels.length),
      });
    },
  };
}

const checkers: ByDevice<Checker> = {
  cpu: () => native,
  hip: simulated,
  cuda: simulated,
};

/** How a build is checked whose first target this is. */
export function checkerFor(target: Target): Checker {
  return ofTarget(checkers, target);
}
