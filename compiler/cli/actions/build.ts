import { build as buildModel } from "../../build.js";
import { reportText } from "../../inspect/text.js";
import { writeForms } from "../../ir/forms.js";
import type { Mode } from "../../ir/program.js";
import { terminalProgress } from "../../support/progress.js";
import type { Json } from "../options.js";
import { print } from "../output.js";

/** `gsic build`. */
export async function build(
  input: string,
  options: Json & { out?: string; target?: string[]; mode?: Mode; dump?: string },
): Promise<void> {
  const { out, report } = await buildModel({
    input,
    out: options.out,
    targets: options.target,
    mode: options.mode,
    dump: options.dump,
    progress: terminalProgress(),
  });
  print(options.json ? JSON.stringify({ out, ...report }, writeForms) : reportText(report, out));
}
