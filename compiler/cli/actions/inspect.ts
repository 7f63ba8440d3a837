import { type Built, openBuild, readPlan } from "../../build-folder/open.js";
import { targetsFor } from "../../cc/machine.js";
import { configuredForm, isConfigured, readConfig } from "../../config/config.js";
import { deviceJson, deviceTexts } from "../../inspect/device.js";
import { machineCodeOf } from "../../inspect/machine-code/report.js";
import { machineCodeText } from "../../inspect/machine-code/text.js";
import { searchText } from "../../inspect/search-text.js";
import { planDot, planJson, planTable } from "../../inspect/table.js";
import { keptText } from "../../inspect/text.js";
import { writeForms } from "../../ir/forms.js";
import type { Plan } from "../../ir/plan.js";
import { openModel } from "../../models/model.js";
import { makePlan } from "../../passes/index.js";
import type { Report } from "../../report/report.js";
import { size } from "../../support/text.js";
import type { Json } from "../options.js";
import { print } from "../output.js";

/** `gsic inspect`. */
export async function inspect(
  path: string,
  options: Json & { dot?: boolean; html?: string; onnx?: string },
): Promise<void> {
  const built = /\.(toml|ts)$/.test(path) ? null : openBuild(path);
  const plan = path.endsWith(".toml") ? await planOfConfig(path) : await planOfBuild(built, path);
  if (options.html !== undefined || options.onnx !== undefined) {
    const { writeInspected } = await import("../inspect-files.js");
    const files = await writeInspected(path, built, plan, options);
    const lines = files.map(({ file, bytes }) => `${file}: ${size(bytes)}`);
    print(options.json ? JSON.stringify({ files }) : lines.join("\n"));
  } else if (options.json) {
    const build =
      built === null ? {} : { build: deviceJson(built.report, built.program, await machineCodeOf(built)) };
    print(JSON.stringify({ ...planJson(plan, built?.report.search), ...build }, writeForms));
  } else if (options.dot) print(planDot(plan));
  else if (built === null) print(planTable(plan));
  else {
    const counted = (await machineCodeOf(built)).map((code) => machineCodeText(code));
    print([planTable(plan), ...buildTexts(built.report), ...counted].join("\n\n"));
  }
}

/** What a build knows beside its plan. */
function buildTexts(report: Report): string[] {
  const kept = keptText(report);
  const search = report.search === null ? [] : [searchText(report.search).join("\n")];
  return [
    ...(kept.length === 0 ? [] : [kept.join("\n")]),
    ...search,
    ...deviceTexts[report.device].details(report),
  ];
}

async function planOfConfig(path: string): Promise<Plan> {
  const config = readConfig(path);
  const model = await openModel(config, () => {});
  model.weights.close();
  const { device } = (await targetsFor(config.target.names))[0]!;
  if (config.quality.mode !== "exact" && !isConfigured(config.plan))
    process.stderr.write(
      "The planner chooses forms when the model is built; inspect the build to see them.\n",
    );
  return makePlan(model.graph, { options: configuredForm(config.plan), device });
}

async function planOfBuild(built: Built | null, path: string): Promise<Plan> {
  return (await (built === null ? readPlan(path) : built.plan)).plan;
}
