import { createHash } from "node:crypto";
import { statSync } from "node:fs";
import type { CodeObject, TargetCode } from "../cc/index.js";
import type { Target } from "../config/target.js";
import type { Graph } from "../ir/graph.js";
import type { Plan } from "../ir/plan.js";
import { type Manifest, verifying } from "../ir/program.js";
import { cacheBlock } from "../layout/cache.js";
import { maxColumns, roundUp, stepBytes } from "../layout/stride.js";
import type { Model } from "../models/model.js";
import { bytesPerToken } from "../passes/cost.js";
import type { Schedule } from "../schedule/program.js";
import { version } from "../support/version.js";
import { type Section, writeBundle } from "./bundle.js";
import { Journal } from "./journal.js";
import { type FactorSource, itemEnds, weightChunks } from "./weights.js";

/** What goes into a bundle. */
interface BundleContent {
  readonly model: Model;
  readonly plan: Plan;
  readonly schedule: Schedule;
  /** The default mode first. */
  readonly modes: readonly string[];
  /** Machine code by target, best target first. */
  readonly code: readonly TargetCode[];
  readonly factors: FactorSource;
}

/** A section that is in memory as a whole. */
interface BytesSection extends Section {
  readonly chunks: readonly Uint8Array[];
}

/** How a bundle is written. */
interface PackOptions {
  /** Told how many bytes of weights are written. */
  readonly progress?: (done: number, total: number) => void;
  /** Keeps a journal beside the file, and goes on with what an interrupted build left; else the file must be new. */
  readonly resume?: { readonly identity: string };
  /** The weights section where it is packed already; otherwise it is packed from the model. */
  readonly packed?: (begin: number) => AsyncIterable<Uint8Array>;
}

/** The file beside a bundle that says how far it is written. */
export function journalOf(bundle: string): string {
  return `${bundle}.journal`;
}

/** Writes the .gsi file of a model; returns where its weights section begins. */
export async function writeModelBundle(
  path: string,
  content: BundleContent,
  { progress = () => {}, resume, packed }: PackOptions = {},
): Promise<number> {
  const { model, plan, schedule, modes, code, factors } = content;
  const { weights } = schedule;
  const bytes = bytesPerToken(plan);
  const perToken = Object.keys(schedule.programs).map((mode) => [
    mode,
    mode === "exact" || mode === verifying ? bytes.dense : bytes.fast,
  ]);
  const manifest = manifestOf({
    graph: plan.graph,
    schedule,
    modes,
    code,
    bytesPerToken: Object.fromEntries(perToken),
  });
  const encoded = new TextEncoder().encode(JSON.stringify(manifest));
  const tokenizer = model.nativeTokenizer;
  const sections = [
    { name: "manifest", chunks: [encoded] },
    ...(tokenizer === null ? [] : [{ name: "tokenizer", chunks: [tokenizer] }]),
    ...code.map(codeSection),
  ];
  const long = {
    name: "weights",
    chunks:
      packed ?? ((begin: number) => weightChunks(weights, model.weights, factors, plan.graph.context, begin)),
    ends: itemEnds(weights),
  };
  return writeBundle(path, sections, long, {
    progress: (done) => progress(done, weights.bytes),
    journal: resume && new Journal(journalOf(path), keyOf(sections, content, resume.identity)),
  });
}

/**
 * Hash of everything that a bundle's bytes are made from. A model's files count by name, size and time as well: its
 * fingerprint samples them. `identity` stands for the statistics that factors are made from.
 */
function keyOf(
  sections: readonly BytesSection[],
  { model, schedule }: BundleContent,
  identity: string,
): string {
  const hash = createHash("sha256");
  for (const { chunks } of sections) for (const chunk of chunks) hash.update(chunk);
  const files = model.weights.filesOfTensors();
  const items = schedule.weights.items;
  hash.update(JSON.stringify([version, identity, model.fingerprint, files.map(fileIdentity), items]));
  return hash.digest("hex");
}

/** What changes when a file does. */
export function fileIdentity(file: string): string {
  const { dev, ino, size, mtimeNs } = statSync(file, { bigint: true });
  return [file, dev, ino, size, mtimeNs].join(" ");
}

/** The manifest of a scheduled model: the first mode is the default, and targets keep the order of `code`. */
export function manifestOf({
  graph,
  schedule,
  modes,
  code,
  bytesPerToken: bytes,
}: Pick<BundleContent, "schedule" | "modes" | "code"> & {
  readonly graph: Graph;
  readonly bytesPerToken: Manifest["bytesPerToken"];
}): Manifest {
  const verify = schedule.programs[verifying] === undefined ? "exact" : verifying;
  return {
    format: 2,
    abi: 2,
    name: graph.name,
    family: graph.family,
    vocabulary: graph.vocabulary,
    context: graph.context,
    columns: maxColumns,
    cacheBlock: cacheBlock(graph.context),
    cacheBytesPerToken: schedule.cacheBytes / cacheBlock(graph.context),
    tablePositions: graph.context,
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
      features: one.target.features,
      section: sectionOf(one.target),
      code: one.kind === "objects" ? placesOf(one.objects) : null,
    })),
    kernels: schedule.kernels.map(({ symbol, arguments: parameters, launch }) => ({
      symbol,
      arguments: parameters,
      launch,
    })),
    modes,
    defaultMode: modes[0]!,
    drafting: modes.includes("lossless") ? { lossless: { draft: "bounded", verify } } : {},
    programs: schedule.programs,
    bytesPerToken: bytes,
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

/** The section of a target's machine code. */
export function codeSection(code: TargetCode): BytesSection {
  return { name: sectionOf(code.target), chunks: codeChunks(code) };
}

/** A section of machine code: one shared object, or code objects one after another. */
function codeChunks(code: TargetCode): Uint8Array[] {
  switch (code.kind) {
    case "library":
      return [code.bytes];
    case "objects": {
      const places = placesOf(code.objects);
      return code.objects.flatMap(({ bytes }, index) => {
        const end = places[index]!.offset + bytes.length;
        const next = places[index + 1]?.offset ?? end;
        return [bytes, new Uint8Array(next - end)];
      });
    }
    default:
      return code satisfies never;
  }
}

function sectionOf(target: Target): string {
  return `code:${target.name}`;
}
