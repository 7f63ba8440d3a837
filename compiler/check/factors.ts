import { type FileHandle, open } from "node:fs/promises";
import { isDeepStrictEqual } from "node:util";
import type { Plan } from "../ir/plan.js";
import type { QuantizedSource } from "../ir/steps.js";
import { layouts } from "../layout/devices.js";
import type { QuantizedLinear } from "../layout/quantizer.js";
import type { Model } from "../models/model.js";
import { evaluatePlan, type PlanOptions, type PlanValues } from "../oracle/reference-plan.js";
import type { FactorSource } from "../pack/weights.js";
import type { PackedWeights, WeightItem } from "../schedule/weights-section.js";
import type { Packed } from "./layers.js";

/** The oracle of a bundle's plan, and how many matrices at few bits lie in the bundle as the oracle has them. */
interface CheckedPlan extends Pick<PlanValues, "logits" | "certain"> {
  readonly matrices: number;
}

/**
 * Evaluates a plan with factors that are made again, and compares every matrix at few bits among them with the finished
 * bundle, byte by byte: factors are the same for the same statistics. Throws (a defect of gsic) if one differs.
 */
export async function evaluateChecked(
  plan: Plan,
  model: Model,
  ids: readonly number[],
  factors: FactorSource,
  packed: Packed,
  options: PlanOptions,
): Promise<CheckedPlan> {
  const file = await open(packed.bundle, "r");
  try {
    const compared = new Set<WeightItem>();
    const checked: FactorSource = {
      basis: (input, k) => factors.basis(input, k),
      image: (linear, k) => factors.image(linear, k),
      quantized: async (source) => {
        const content = await factors.quantized(source);
        const item = itemOf(packed.weights, source);
        if (!compared.has(item)) await compareItem(file, packed, item, source, content);
        compared.add(item);
        return content;
      },
    };
    const { logits, certain } = await evaluatePlan(plan, model.weights, ids, checked, options);
    return { logits, certain, matrices: compared.size };
  } finally {
    await file.close();
  }
}

function itemOf({ items }: PackedWeights, source: QuantizedSource): WeightItem {
  const item = items.find(
    ({ content }) => content.kind === "matrix" && isDeepStrictEqual(content.source, source),
  );
  if (item === undefined) throw new Error(`self-check failed: the bundle has no ${nameOf(source)}`);
  return item;
}

async function compareItem(
  file: FileHandle,
  { begin, weights }: Packed,
  item: WeightItem,
  source: QuantizedSource,
  content: QuantizedLinear,
): Promise<void> {
  let position = begin + item.offset;
  for (const piece of layouts[weights.device].packQuantized(source, content)) {
    const found = Buffer.alloc(piece.length);
    await file.read(found, 0, found.length, position);
    if (!found.equals(piece))
      throw new Error(`self-check failed: ${nameOf(source)} is not what was made for it`);
    position += piece.length;
  }
}

/** A matrix at few bits as messages call it. */
function nameOf(source: QuantizedSource): string {
  switch (source.kind) {
    case "quantized":
      return `the matrix at few bits of ${source.linear}`;
    case "correction":
      return `the correction's factor B of ${source.recipe.input}`;
    case "projections":
      return `the gate's projections S of ${source.recipe.input}`;
    default:
      return source satisfies never;
  }
}
