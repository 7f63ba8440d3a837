import type { CodeObject, TargetCode } from "../cc.js";
import { bytesPerToken } from "../cost.js";
import type { Manifest, Mode, Plan } from "../ir.js";
import type { Model } from "../model.js";
import { maxColumns, roundUp } from "../schedule/layout.js";
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
  readonly code: readonly TargetCode[];
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
  const weights = weightChunks(schedule.weights, model.weights, factors, plan.graph.context);
  await writeBundle(path, [
    { name: "manifest", chunks: [encoded] },
    ...(tokenizer === null ? [] : [{ name: "tokenizer", chunks: [tokenizer] }]),
    ...code.map((one) => ({ name: sectionOf(one.target), chunks: codeChunks(one) })),
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
    targets: code.map((one) => ({
      name: one.target.name,
      device: one.target.device,
      architecture: one.target.architecture,
      features: one.target.device === "cpu" ? one.target.features : [],
      section: sectionOf(one.target),
      code: "objects" in one ? placesOf(one.objects) : null,
    })),
    kernels: schedule.kernels.map(({ symbol, arguments: parameters, launch }) => ({
      symbol,
      arguments: parameters,
      launch,
    })),
    modes,
    defaultMode: modes[0]!,
    programs: schedule.programs,
    bytesPerToken: Object.fromEntries(
      modes.map((mode) => [mode, mode === "exact" ? bytes.dense : bytes.fast]),
    ),
  };
}

/** What each kernel's code object is aligned to in its section: a page, so that it can be mapped. */
const objectAlignment = 4096;

/** Where each code object begins in its section. */
function placesOf(objects: readonly CodeObject[]): { offset: number; bytes: number }[] {
  let end = 0;
  return objects.map(({ bytes }) => {
    const offset = roundUp(end, objectAlignment);
    end = offset + bytes.length;
    return { offset, bytes: bytes.length };
  });
}

/** A section of machine code: one shared object, or code objects one after another. */
function codeChunks(code: TargetCode): Uint8Array[] {
  if ("bytes" in code) return [code.bytes];
  const places = placesOf(code.objects);
  return code.objects.flatMap(({ bytes }, index) => {
    const end = places[index]!.offset + bytes.length;
    const next = places[index + 1]?.offset ?? end;
    return [bytes, new Uint8Array(next - end)];
  });
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
