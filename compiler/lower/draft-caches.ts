import { attentionNodes } from "../ir/cache.js";
import type { Graph } from "../ir/graph.js";
import type { Step } from "../ir/steps.js";

/**
 * The steps of a pass that verifies drafts, which besides leaves the keys and values of every layer as the program of
 * `drafts` keeps them, where that is another type: heads that a step has normalised and rotated in place are put there, too.
 */
export function withDraftCaches(steps: readonly Step[], drafts: Graph): readonly Step[] {
  const attention = attentionNodes(drafts);
  return steps.flatMap((step): Step[] => {
    if (step.kind !== "cache") return [step];
    const kept = attention[step.layer]!;
    if (kept.cache === step.attention.cache) return [step];
    return [step, { ...step, attention: kept, norms: null, rope: null, forDrafts: true }];
  });
}
