import { rm } from "node:fs/promises";
import { join } from "node:path";
import { compileForCpus, writeWorkBundle } from "../calibrate/work-bundle.js";
import type { CpuTarget } from "../config/target.js";
import { measureModes } from "../evaluate/evaluate.js";
import { densePlan, isDense } from "../ir/forms.js";
import type { Plan } from "../ir/plan.js";
import type { Model } from "../models/model.js";
import { freeBytes } from "../pack/space.js";
import type { FactorSource } from "../pack/weights.js";
import type { TextQuality } from "../report/evaluation.js";
import { scheduleAll, type Variant } from "../schedule/program.js";
import type { Progress } from "../support/progress.js";
import { temporaryFolder } from "../support/temporary.js";
import type { KeptFactors } from "./kept-factors.js";
import type { Ledger } from "./ledger.js";

/** What plans of a model are measured with. */
export interface Laboratory {
  readonly model: Model;
  readonly factors: FactorSource;
  /** Holds files for as long as the planner runs. */
  readonly kept: KeptFactors;
  /** The CPUs that measurements may run on, whatever the build is for. */
  readonly targets: readonly CpuTarget[];
  readonly ledger: Ledger;
  readonly progress: Progress;
  /** Makes the matrices that a plan rounds to types of GGUF; where there are such plans. */
  readonly round?: (plan: Plan) => Promise<void>;
}

/** A text to measure on: ids, read in windows of `window` tokens; `name` stands for it in the ledger. */
export interface MeasuredText {
  readonly name: string;
  readonly ids: Int32Array;
  readonly window: number;
}

/** Variants that are measured between two entries of the ledger. */
const batch = 16;

/**
 * Measures plans against the dense model, by the kernels that a build would have: programs of one bundle, over one set
 * of weights. `key` names a variant in the ledger, and must tell its plan; what is there already is not measured again, nor
 * is a dense plan: the dense model is what the others run beside.
 */
export async function measureVariants(
  laboratory: Laboratory,
  variants: readonly (Variant & { readonly key: string })[],
  text: MeasuredText,
  title: string,
): Promise<ReadonlyMap<string, TextQuality>> {
  const { ledger, progress } = laboratory;
  const nameIn = ({ key }: { key: string }) => `${text.name}: ${key}`;
  const missing = variants.filter((variant) => !ledger.has(nameIn(variant)));
  if (missing.length > 0) {
    const folder = await temporaryFolder("plan");
    try {
      const bundle = join(folder, "variants.gsi");
      const rewritten = missing.filter(({ plan }) => !isDense(plan));
      for (const { plan } of rewritten) await laboratory.round?.(plan);
      await writeVariants(bundle, laboratory, missing[0]!.plan, rewritten, text.window);
      const reference = await referenceFile(laboratory, text);
      const update = progress.stage(`${title}: ${missing.length} plans, ${text.ids.length} tokens each`);
      for (let first = 0; first === 0 || first < rewritten.length; first += batch) {
        const some = rewritten.slice(first, first + batch);
        const names = some.map(({ name }) => name);
        const listen = (done: number, total: number) =>
          update(first + (some.length * done) / total, rewritten.length);
        const found = await measureModes(bundle, names, text.ids, text.window, listen, reference);
        const dense = missing.filter(({ plan }) => isDense(plan));
        await ledger.add([
          ...some.map((variant) => [nameIn(variant), found.get(variant.name)!] as const),
          ...dense.map((variant) => [nameIn(variant), found.get("exact")!] as const),
        ]);
      }
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }
  return new Map(
    variants.map((variant) => [variant.name, ledger.read<TextQuality>(nameIn(variant))] as const),
  );
}

/** Bytes of logits above which they are not kept: more would crowd others out of memory. */
const mostKept = 4e9;

/** Where the dense model's logits for a text are kept, the same for all plans; null where they are too large. */
async function referenceFile(
  { kept, model }: Laboratory,
  { name, ids }: MeasuredText,
): Promise<string | null> {
  const bytes = ids.length * model.graph.vocabulary * Float32Array.BYTES_PER_ELEMENT;
  if (bytes > mostKept || 2 * bytes > (await freeBytes(kept.folder))) return null;
  return join(kept.folder, `logits-${name}`);
}

/** Writes a bundle of the dense model, as `exact`, and of variants of it. */
export async function writeVariants(
  path: string,
  { model, factors, targets, progress }: Laboratory,
  plan: Plan,
  variants: readonly Variant[],
  context: number,
): Promise<void> {
  const shortened = (one: Plan): Plan => ({ ...one, graph: { ...one.graph, context } });
  const plans = variants.map((variant) => ({ name: variant.name, plan: shortened(variant.plan) }));
  const exact = { name: "exact", plan: densePlan(shortened(plan)) };
  const schedule = scheduleAll([exact, ...plans], targets[0]!);
  const title = `Compiling ${schedule.kernels.length} kernels to measure plans with`;
  const code = await compileForCpus(schedule, targets, title, progress);
  const { graph } = exact.plan;
  const update = progress.stage("Packing the weights of plans to measure");
  await writeWorkBundle(path, { model, graph, schedule, code, factors }, update);
}
