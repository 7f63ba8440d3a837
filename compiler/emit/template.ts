import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import Handlebars from "handlebars";
import { templatesFolder } from "../support/paths.js";

/** Renders a template; that its parameters are those of its interface is what `KernelCall` says. */
type Renderer = (name: string, params: object) => string;

/** The templates of a dialect, compiled: `templates/<dialect>/*.hbs` and the partials below it. */
export function loadTemplates(dialect: string): Renderer {
  const folder = join(templatesFolder, dialect);
  const engine = Handlebars.create();
  for (const file of templateFiles(join(folder, "partials"))) {
    engine.registerPartial(baseName(file), readFileSync(join(folder, "partials", file), "utf8"));
  }
  const compiled = new Map(
    templateFiles(folder).map((file) => {
      const source = readFileSync(join(folder, file), "utf8");
      return [baseName(file), engine.compile(source, { strict: true, noEscape: true })];
    }),
  );
  return (name, params) => {
    const template = compiled.get(name);
    if (template === undefined) throw new Error(`no template ${dialect}/${name}.hbs`);
    return template(params);
  };
}

function templateFiles(folder: string): string[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith(".hbs"))
    .sort();
}

function baseName(file: string): string {
  return file.slice(0, -".hbs".length);
}
