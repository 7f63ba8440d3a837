/**
 * `npm run soak`: two hours, or GSIC_SOAK_MINUTES. Builds tiny-gpt2, lets four clients talk to a server, and prints what
 * was found. Exit code 1 if a text was wrong, or memory or descriptors grew.
 */

import { join } from "node:path";
import { packageRoot } from "../../support/paths.js";
import { buildTiny } from "../tiny.js";
import { soak } from "./soak.js";
import { soakTemplate, verdict } from "./verdict.js";

const minutes = Number(process.env.GSIC_SOAK_MINUTES ?? 120);
const built = await buildTiny({ chat: soakTemplate });
try {
  const program = join(packageRoot, "dist/compiler/main.js");
  const seed = Number(process.env.GSIC_SOAK_SEED ?? 1);
  const report = await soak({ build: built.folder, program, seconds: 60 * minutes, clients: 4, seed });
  const complaints = verdict(report);
  process.stdout.write(`${JSON.stringify({ seed, ...report, complaints }, null, 2)}\n`);
  if (complaints.length > 0) process.exitCode = 1;
} finally {
  built.remove();
}
