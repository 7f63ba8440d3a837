import type { Command } from "commander";
import { runChecks } from "../../doctor/checks.js";
import { doctorText } from "../../doctor/text.js";
import { exitCodes } from "../../support/errors.js";
import { version } from "../../support/version.js";
import { type Json, jsonOption } from "../options.js";
import { print } from "../output.js";

/** Adds `gsic doctor`. */
export function addDoctor(gsic: Command): void {
  gsic
    .command("doctor")
    .description("check what gsic needs of this machine: compilers, devices, disks, cache")
    .addOption(jsonOption())
    .addHelpText("after", "\nExample: gsic doctor")
    .action(doctor);
}

/** `gsic doctor`: ends with the code of a missing tool if something that is needed is. */
async function doctor(options: Json): Promise<void> {
  const checks = await runChecks();
  const ok = checks.every(({ verdict }) => verdict !== "broken");
  print(options.json ? JSON.stringify({ gsic: version, ok, checks }) : doctorText(checks));
  if (!ok) process.exitCode = exitCodes.environment;
}
