import { runChecks } from "../../doctor/checks.js";
import { doctorText } from "../../doctor/text.js";
import { exitCodes } from "../../support/errors.js";
import { version } from "../../support/version.js";
import type { Json } from "../options.js";
import { print } from "../output.js";

/** `gsic doctor`: ends with the code of a missing tool if something that is needed is. */
export async function doctor(options: Json): Promise<void> {
  const checks = await runChecks();
  const ok = checks.every(({ verdict }) => verdict !== "broken");
  print(options.json ? JSON.stringify({ gsic: version, ok, checks }) : doctorText(checks));
  if (!ok) process.exitCode = exitCodes.environment;
}
