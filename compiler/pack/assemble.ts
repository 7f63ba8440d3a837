import { bytesPerToken } from "../cost.js";
import type { Manifest, Mode, Plan } from "../ir.js";
import type { Model } from "../model.js";
import { maxColumns } from "../schedule/layout.js";
import { type Schedule, stepBytes } from "../schedule/program.js";
import type { Target } from "../target.js";
import { writeBundle } from "./bundle.js";
import { type FactorSource, weightChunks } from "./weights.js";

/** What goes into a bundle. */
export interface BundleContent {
  readonly model: Model;
  readonly plan: Plan;
  readonly schedule: Schedule;
  /** The default mode first. */
  readonly modes: readonly Mode[];
  /** Machine code by target, best target first. */
  readonly code: readonly { readonly target: Target; readonly bytes: Uint8Array }[];
  readonly factors: FactorSource;
}

/** Writes the .gsi file of a model. `progress` is told how many bytes of weights are written. */
export async function writeModelBundle(
  path: string,
  content: BundleContent,
  progress: (done: number, total: number) => void = () => {},
): Promise<void> {
  const { model, plan, schedule, code, factors } = content;
  const manifest = manifestOf(content);
  const encoded = new TextEncoder().encode(JSON.stringify(manifest));
  const tokenizer = model.nativeTokenizer;
  const weights = weightChunks(schedule.weights.items, model.weights, factors, plan.graph.context);
  await writeBundle(path, [
    { name: "manifest", chunks: [encoded] },
    ...(tokenizer === null ? [] : [{ name: "tokenizer", chunks: [tokenizer] }]),
    ...code.map(({ target, bytes }) => ({ name: sectionOf(target), chunks: [bytes] })),
    { name: "weights", chunks: counted(weights, schedule.weights.bytes, progress) },
  ]);
}

function manifestOf({ plan, schedule, modes, code }: BundleContent): Manifest {
  const { graph } = plan;
  const bytes = bytesPerToken(plan);
  return {
    format: 1,
    abi: 1,
    name: graph.name,
    family: graph.family,
    vocabulary: graph.vocabulary,
    context: graph.context,
    columns: maxColumns,
    buffers: {
      weights: schedule.weights.bytes,
      arena: schedule.arenaBytes,
      cache: schedule.cacheBytes,
      step: stepBytes,
      counters: schedule.counterBytes,
    },
    targets: code.map(({ target }) => ({
      name: target.name,
      device: target.device,
      features: target.features,
      section: sectionOf(target),
    })),
    kernels: schedule.kernels.map(({ symbol }) => symbol),
    modes,
    defaultMode: modes[0]!,
    programs: schedule.programs,
    bytesPerToken: Object.fromEntries(
      modes.map((mode) => [mode, mode === "exact" ? bytes.dense : bytes.fast]),
    ),
  };
}

function sectionOf(target: Target): string {
  return `code:${target.name}`;
}

async function* counted(
  chunks: AsyncIterable<Uint8Array>,
  total: number,
  progress: (done: number, total: number) => void,
): AsyncGenerator<Uint8Array> {
  let done = 0;
  for await (const chunk of chunks) {
    yield chunk;
    done += chunk.length;
    progress(done, total);
  }
}
