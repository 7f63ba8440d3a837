import type { Built } from "../build-folder/open.js";
import { Algebra } from "../calibrate/algebra.js";
import { collectStats } from "../calibrate/collect.js";
import { targetsFor } from "../cc/machine.js";
import { openModel } from "../models/model.js";
import type { GgufType } from "../read/gguf-types.js";
import type { Estimate } from "../report/evaluation.js";
import { GsicError } from "../support/errors.js";
import type { Progress } from "../support/progress.js";
import { type GgufExport, type GgufSummary, roundsToBlocks, typedTensors, writeExport } from "./gguf.js";
import type { Fields } from "./tokenizer-entries.js";

/** What `gsic export --json` prints. */
export interface ExportReport extends GgufSummary {
  readonly out: string;
}

/**
 * Writes a build's model as a GGUF file: with one type for all matrices, or the types of its plan. Weights are rounded by
 * statistics of their inputs, which are collected as the configuration says. Throws `export-*` errors, and
 * `graph-other-model` (category data) where the model is no longer the one that was built.
 */
export async function exportGguf(
  built: Built,
  out: string,
  type: GgufType | null,
  progress: Progress,
): Promise<ExportReport> {
  const { config } = built;
  const { plan, header } = await built.plan;
  const model = await openModel(config, progress.stage("Reading the model"));
  const algebra = new Algebra();
  try {
    if (header.fingerprint !== model.fingerprint) throw otherModel(built.folder, model.weights.source);
    const job: GgufExport = { model, plan, type };
    const typed = typedTensors(job);
    const calibration = roundsToBlocks(typed)
      ? await collectStats(model, config, await targetsFor(built.report.targets), progress)
      : null;
    const stats = calibration?.stats ?? null;
    const notes: Fields = {
      ...(stats && { "gsic.calibration.tokens": { type: "u32", value: stats.tokens } as const }),
      ...(type === null ? measuredFields(built) : {}),
    };
    const update = progress.stage("Writing the tensors");
    return { out, ...(await writeExport(out, job, typed, { algebra, stats }, notes, update)) };
  } finally {
    await algebra.close();
    model.weights.close();
  }
}

/**
 * What was measured of planned types: the KL to the stored model in nats per token, with its 95 % interval, on validation text,
 * which the types were chosen by, and on the text of `gsic eval` where that was run. gsic's kernels measured it.
 */
function measuredFields({ report }: Built): Fields {
  const { search, evaluation } = report;
  const chosen = search?.frontier.find((one) => one.chosen);
  if (search?.types === undefined || chosen === undefined) return {};
  const { max_kl: maxKl } = search;
  const { max_bytes: maxBytes } = search.types;
  return {
    ...klFields("validation", chosen.kl, search.validation_tokens),
    ...(evaluation?.heldout && klFields("heldout", evaluation.heldout.kl, evaluation.heldout.tokens)),
    ...(maxKl !== null && { "gsic.max_kl": { type: "f32", value: maxKl } as const }),
    ...(maxBytes !== null && { "gsic.max_bytes": { type: "string", value: String(maxBytes) } as const }),
  };
}

function klFields(text: string, { value, low, high }: Estimate, tokens: number): Fields {
  return {
    [`gsic.${text}.kl`]: { type: "f32", value },
    [`gsic.${text}.kl_low`]: { type: "f32", value: low },
    [`gsic.${text}.kl_high`]: { type: "f32", value: high },
    [`gsic.${text}.tokens`]: { type: "u32", value: tokens },
  };
}

function otherModel(folder: string, source: string): GsicError {
  return new GsicError({
    category: "data",
    code: "graph-other-model",
    message: "the build is of another model than the one that is here now",
    where: folder,
    hint: `build ${source} again`,
  });
}
