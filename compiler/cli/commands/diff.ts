import type { Command } from "commander";
import { jsonOption, loaded } from "../options.js";

/** Adds `gsic diff`. */
export function addDiff(gsic: Command): void {
  gsic
    .command("diff <first> <second>")
    .description("show what changed between two build folders: forms, bytes, quality, kernels")
    .addOption(jsonOption())
    .addHelpText("after", "\nExample: gsic diff build/before build/after")
    .action(loaded(async () => (await import("../actions/diff.js")).diff));
}
