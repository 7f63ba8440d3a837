import { cacheTypesOf, roundsCache } from "../ir/cache.js";
import { isDenseForm } from "../ir/forms.js";
import type { ValueId } from "../ir/graph.js";
import type { Form, Plan } from "../ir/plan.js";

/** Tells a plan from others of its graph: what is not dense in it. */
export function planKey({ linears, graph }: Plan): string {
  const forms: [ValueId, Form][] = [...linears.values()].flatMap(({ linear, form }) =>
    isDenseForm(form) ? [] : [[linear, form]],
  );
  const caches = cacheTypesOf(graph);
  return JSON.stringify(roundsCache(graph) ? [forms, caches] : forms);
}
