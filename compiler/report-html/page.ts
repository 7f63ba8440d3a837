import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import Handlebars from "handlebars";
import type { Built } from "../build-folder/open.js";
import type { Plan } from "../ir/plan.js";
import { packageRoot } from "../support/paths.js";
import { type PageData, type PageInput, pageData } from "./data.js";
import { graphSvg } from "./picture.js";
import { pageView } from "./view.js";

const pageFolder = join(packageRoot, "compiler/report-html/page");

/** The page's own scripts, in the order in which they need one another. */
const scripts = [
  "figures.js",
  "plots.js",
  "frontier.js",
  "activations.js",
  "details.js",
  "graph.js",
  "table.js",
  "main.js",
];

/** The page of a build, from what lies in its folder, finished or not. */
export function reportHtmlOf(built: Built, plan: Plan): string {
  const sources = built.report.kernels.flatMap(({ symbol }): [string, string][] => {
    const file = join(built.folder, "kernels", `${symbol}.cpp`);
    return existsSync(file) ? [[symbol, readFileSync(file, "utf8")]] : [];
  });
  return reportHtml({ plan, report: built.report, program: built.program, sources: new Map(sources) });
}

/** A build as one page that needs nothing else: no file, no network. The same input gives the same bytes. */
function reportHtml(input: PageInput): string {
  const data = pageData(input);
  const template = Handlebars.compile(readPage("page.hbs"), { strict: true });
  return template({
    ...pageView(input, data),
    style: readPage("page.css"),
    graph: graphSvg(input.plan.graph, data.linears),
    data: dataText(data),
    scripts: [
      library("d3", "d3.min.js"),
      library("@observablehq/plot", "plot.umd.min.js"),
      ...scripts.map(readPage),
    ],
  });
}

/** JSON that can stand in a script element. */
function dataText(data: PageData): string {
  return JSON.stringify(data).replaceAll("<", "\\u003c");
}

function readPage(name: string): string {
  return readFileSync(join(pageFolder, name), "utf8");
}

/** The build of a library that browsers load as a script. */
function library(name: string, file: string): string {
  const main = createRequire(import.meta.url).resolve(name);
  const text = readFileSync(join(packageOf(main, name), "dist", file), "utf8");
  if (/<\/script|<!--/i.test(text)) throw new Error(`${name} cannot stand in a page`);
  return text;
}

/** The folder of a package in which a file lies. */
function packageOf(file: string, name: string): string {
  const end = `node_modules/${name}`;
  for (let folder = dirname(file); folder !== dirname(folder); folder = dirname(folder))
    if (folder.endsWith(end)) return folder;
  throw new Error(`${file} is in no package ${name}`);
}
