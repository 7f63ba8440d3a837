/**
 * `npm run same -- --uncompiled`: as same.ts, without compilers and checks, in a minute: what fixtures become before machine
 * code, as schedules and packed weights of factors that chance chose.
 */

import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readTarget } from "../config/targets.js";
import { printPlan } from "../graph-text/print.js";
import type { Form } from "../ir/plan.js";
import { writeModelBundle } from "../pack/assemble.js";
import { schedule } from "../schedule/program.js";
import { fixtureNames, openFixture } from "./fixtures.js";
import { planOf, roundedFactors } from "./tiers.js";

/** Forms that between them have every gate and every tier. */
const forms: Readonly<Record<string, Form>> = {
  dense: { gate: null, tier: null },
  gated: { gate: { k: 4, epsilon: 0.2 }, tier: null },
  tiered: { gate: null, tier: { quantizer: { bits: 5, group: 32, symmetric: true }, rank: 8, exact: null } },
  both: {
    gate: { k: 8, epsilon: 0.2 },
    tier: {
      quantizer: { bits: 4, group: 32, symmetric: false },
      rank: 4,
      exact: { projections: 8, threshold: 0.2 },
    },
  },
};

/** One line for each bundle without machine code, program, and graph.ts, and one for the kernels of each. */
export async function uncompiledLines(names: readonly string[]): Promise<string[]> {
  const lines: string[] = [];
  const folder = await mkdtemp(join(tmpdir(), "gsic-same-"));
  const add = (content: string | Uint8Array, title: string) =>
    lines.push(`${createHash("sha256").update(content).digest("hex")}  ${title}`);
  for (const name of fixtureNames().filter((one) => names.length === 0 || names.includes(one))) {
    const { model, ids } = await openFixture(name);
    for (const [formName, form] of Object.entries(forms)) {
      const plan = planOf(model, form);
      add(
        printPlan(plan, { config: "model.toml", fingerprint: model.fingerprint }),
        `${name} ${formName}: graph.ts`,
      );
      for (const target of ["cpu-portable", "mi300x", "h200"].map(readTarget)) {
        const title = `${name} ${formName} ${target.name}`;
        const scheduled = schedule(plan, ["bounded", "exact"], target, { linears: true });
        add(scheduled.kernels.map(({ source }) => source).join("\n"), `${title}: kernels`);
        add(JSON.stringify([scheduled.programs, scheduled.listings]), `${title}: program`);
        const path = join(folder, "model.gsi");
        const factors = roundedFactors(model, form.gate?.k ?? 8, ids);
        await writeModelBundle(path, {
          model,
          plan,
          schedule: scheduled,
          modes: ["bounded", "exact"],
          code: [],
          factors,
        });
        add(await readFile(path), `${title}: bundle`);
        await rm(path);
      }
    }
    model.weights.close();
  }
  await rm(folder, { recursive: true });
  return lines;
}
