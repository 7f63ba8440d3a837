import { kindOf, quantizerText } from "../ir/forms.js";
import type { Form, FormKind } from "../ir/plan.js";

/**
 * How many linears have which form, in a line per kind: `tiered: 60 at 5 bits/32 rank 8, 40 at 4 bits/32`. Thresholds
 * are left out, since each input has its own.
 */
export function formGroups(forms: readonly Form[]): string[] {
  const kinds = new Map<FormKind, string[]>();
  for (const form of forms) {
    const known = kinds.get(kindOf(form));
    if (known === undefined) kinds.set(kindOf(form), [settingsText(form)]);
    else known.push(settingsText(form));
  }
  return [...kinds].map(([kind, settings]) => {
    const counts = new Map<string, number>();
    for (const one of settings) counts.set(one, (counts.get(one) ?? 0) + 1);
    if (kind === "dense") return `dense: ${settings.length}`;
    const parts = [...counts].sort((a, b) => b[1] - a[1]).map(([text, count]) => `${count} at ${text}`);
    return `${kind}: ${parts.join(", ")}`;
  });
}

function settingsText(form: Form): string {
  const [subspace, tier] = [form.gate, form.tier];
  const parts: string[] = [];
  if (subspace !== null) parts.push(`k = ${subspace.k}`);
  if (tier !== null) {
    const rank = tier.rank === 0 ? "" : ` rank ${tier.rank}`;
    parts.push(`${quantizerText(tier.quantizer)}${rank}`);
    if (tier.exact !== null) parts.push("exact");
  }
  return parts.join(" or ");
}
