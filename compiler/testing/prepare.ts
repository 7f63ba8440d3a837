import { prepareRuntime } from "../cc/index.js";
import { terminalProgress } from "../support/progress.js";

/** Before the tests: native programs are compiled once, with their progress shown, and not by several workers within a limit of time. */
export default async function prepare(): Promise<void> {
  const progress = terminalProgress();
  await prepareRuntime(["library", "executable", "tool", "addon", "mock-driver"], progress);
  progress.finish();
}
