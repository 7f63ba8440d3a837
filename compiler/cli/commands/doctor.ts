import type { Command } from "commander";
import { jsonOption, loaded } from "../options.js";

/** Adds `gsic doctor`. */
export function addDoctor(gsic: Command): void {
  gsic
    .command("doctor")
    .description("check what gsic needs of this machine: compilers, devices, disks, cache")
    .addOption(jsonOption())
    .addHelpText("after", "\nExample: gsic doctor")
    .action(loaded(async () => (await import("../actions/doctor.js")).doctor));
}
