import { join } from "node:path";
import { updateChecksums } from "../build-folder/checksums.js";
import { reportJson } from "../build-folder/make-report.js";
import { Built } from "../build-folder/open.js";
import { isSigned } from "../build-folder/signature.js";
import type { Evaluation } from "../report/evaluation.js";
import type { LaunchTimesByMode } from "../report/launch-times.js";
import type { Measurements } from "../report/measurements.js";
import type { Report } from "../report/report.js";
import { GsicError } from "../support/errors.js";
import { writeWhole } from "../support/replace-file.js";

/** What is measured of a build after it was published. */
interface Measured {
  readonly evaluation?: Evaluation;
  readonly speed?: Measurements;
  /** Modes that it lacks keep what was measured before. */
  readonly launch_times?: LaunchTimesByMode;
}

/**
 * Adds what was measured to a build's report.json, and shows it in its report.html; returns why that could not be done,
 * or null. A build that may only be read keeps the report that it has.
 */
export async function recordMeasured(built: Built, measured: Measured): Promise<string | null> {
  const { launch_times: before } = built.report;
  const { launch_times: now } = measured;
  const launchTimes = now === undefined ? {} : { launch_times: { ...before, ...now } };
  const report: Report = { ...built.report, ...measured, ...launchTimes };
  const { reportHtmlOf } = await import("../report-html/page.js");
  try {
    const { plan } = await built.plan;
    const page = reportHtmlOf(new Built(built.folder, report), plan);
    await writeWhole(join(built.folder, "report.json"), reportJson(report));
    await writeWhole(join(built.folder, "report.html"), page);
    await updateChecksums(built.folder, ["report.html", "report.json"]);
    if (isSigned(built.folder)) return "the build's signature is no longer right: sign it again: gsic sign";
    return null;
  } catch (cause) {
    if (!(cause instanceof GsicError)) throw cause;
    return `the report was not changed: ${cause.message}`;
  }
}

/** `recordMeasured`, whose problem is told but stops nothing. */
export async function record(built: Built, measured: Measured): Promise<void> {
  const problem = await recordMeasured(built, measured);
  if (problem !== null) process.stderr.write(`gsic: ${problem}\n`);
}
