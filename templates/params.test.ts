import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import Handlebars from "handlebars";
import { Project, type Type } from "ts-morph";
import { describe, expect, test } from "vitest";
import { packageRoot } from "../compiler/paths.js";

const folder = join(packageRoot, "templates/cpu");
const read = (name: string) => readFileSync(join(folder, `${name}.hbs`), "utf8");
const names = (path: string) =>
  readdirSync(join(folder, path)).flatMap((file) =>
    file.endsWith(".hbs") ? [join(path, file.slice(0, -4))] : [],
  );

const project = new Project({
  tsConfigFilePath: join(packageRoot, "tsconfig.json"),
  skipAddingFilesFromTsConfig: true,
});
const params = project.addSourceFileAtPath(join(packageRoot, "templates/params.ts"));
const interfaces = new Map(
  params
    .getInterfaceOrThrow("TemplateParams")
    .getProperties()
    .map((property) => [property.getName(), property.getType()]),
);

/** Fields of an object, without `null`; null for what has no fields. */
function fieldsOf(type: Type): Map<string, Type> | null {
  const plain = type.getNonNullableType();
  if (!plain.isObject() || plain.isArray() || plain.isReadonlyArray()) return null;
  return new Map(
    plain.getProperties().map((property) => [property.getName(), property.getTypeAtLocation(params)]),
  );
}

/** The type of an array's elements; null for what is no array. */
function elementOf(type: Type): Type | null {
  const plain = type.getNonNullableType();
  return plain.isArray() || plain.isReadonlyArray() ? plain.getArrayElementTypeOrThrow() : null;
}

/** All paths of an interface, such as `gate.k` and `products[].tier`. */
function pathsOf(type: Type, prefix = ""): string[] {
  const element = elementOf(type);
  if (element !== null) return pathsOf(element, `${prefix}[]`);
  const fields = fieldsOf(type);
  if (fields === null) return [prefix];
  return [...fields].flatMap(([name, field]) => pathsOf(field, prefix === "" ? name : `${prefix}.${name}`));
}

interface Scope {
  readonly type: Type;
  readonly prefix: string;
}

type Ast = hbs.AST.Program;
type PathExpression = hbs.AST.PathExpression;

/** Resolves every name that a template uses against its interface; strict mode does not see those inside #if. */
class Reader {
  readonly used = new Set<string>();
  readonly unknown: string[] = [];
  deepest = 0;

  program(ast: Ast, scopes: readonly Scope[], depth = 0): void {
    this.deepest = Math.max(this.deepest, depth);
    for (const statement of ast.body) this.statement(statement, scopes, depth);
  }

  private statement(statement: hbs.AST.Statement, scopes: readonly Scope[], depth: number): void {
    switch (statement.type) {
      case "ContentStatement":
        return;
      case "MustacheStatement": {
        const { path, params: inputs } = statement as hbs.AST.MustacheStatement;
        expect(inputs, "templates call no helpers").toEqual([]);
        this.resolve(path as PathExpression, scopes);
        return;
      }
      case "PartialStatement": {
        const name = ((statement as hbs.AST.PartialStatement).name as PathExpression).original;
        this.program(Handlebars.parse(read(`partials/${name}`)), scopes, depth);
        return;
      }
      case "BlockStatement": {
        const block = statement as hbs.AST.BlockStatement;
        const helper = block.path.original;
        expect(["if", "each"]).toContain(helper);
        const found = this.resolve(block.params[0] as PathExpression, scopes);
        if (found === null) return;
        const element = helper === "each" ? elementOf(found.type) : null;
        if (helper === "each" && element === null) this.unknown.push(`${found.prefix} is no list`);
        const inner = element === null ? scopes : [...scopes, { type: element, prefix: `${found.prefix}[]` }];
        this.program(block.program, inner, depth + 1);
        if (block.inverse) this.program(block.inverse, inner, depth + 1);
        return;
      }
      default:
        throw new Error(`a template has a ${statement.type}`);
    }
  }

  private resolve(path: PathExpression, scopes: readonly Scope[]): Scope | null {
    let scope = scopes[scopes.length - 1 - path.depth];
    for (const name of path.parts) {
      const type = scope && fieldsOf(scope.type)?.get(name);
      if (!scope || !type) {
        this.unknown.push(path.original);
        return null;
      }
      scope = { type, prefix: scope.prefix === "" ? name : `${scope.prefix}.${name}` };
    }
    if (scope) this.used.add(scope.prefix);
    return scope ?? null;
  }
}

test("every template has an interface, and every interface a template", () => {
  expect(names("").sort()).toEqual([...interfaces.keys()].sort());
});

describe("a template uses exactly the names of its interface", () => {
  for (const name of names("")) {
    test(name, () => {
      const reader = new Reader();
      const type = interfaces.get(name)!;
      reader.program(Handlebars.parse(read(name)), [{ type, prefix: "" }]);
      expect(reader.unknown).toEqual([]);
      expect(pathsOf(type).filter((path) => !reader.used.has(path))).toEqual([]);
      expect(reader.deepest, "nesting").toBeLessThanOrEqual(2);
    });
  }
});

test("a template is a page: at most 60 lines", () => {
  for (const name of [...names(""), ...names("partials")]) {
    const lines = read(name).trimEnd().split("\n");
    expect(lines.length, name).toBeLessThanOrEqual(60);
  }
});

test("every partial is used", () => {
  const all = names("").map(read).join();
  for (const name of names("partials")) expect(all).toContain(`{{> ${name.slice("partials/".length)}}}`);
});

test("the reader sees a misspelt name inside #if", () => {
  const reader = new Reader();
  const scope = { type: interfaces.get("project")!, prefix: "" };
  reader.program(
    Handlebars.parse("{{#if gates}}x{{/if}}{{#each products}}{{#if ../residuals}}{{/if}}{{/each}}"),
    [scope],
  );
  expect(reader.unknown).toEqual(["gates", "../residuals"]);
});
