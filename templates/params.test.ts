import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import Handlebars from "handlebars";
import { Project, type Type } from "ts-morph";
import { describe, expect, test } from "vitest";
import { packageRoot } from "../compiler/support/paths.js";

const project = new Project({
  tsConfigFilePath: join(packageRoot, "tsconfig.json"),
  skipAddingFilesFromTsConfig: true,
});

/** The templates of a folder, and the interfaces of their parameters by name. */
class Dialect {
  readonly interfaces: ReadonlyMap<string, Type>;

  constructor(
    readonly name: string,
    file: string,
    all: string,
  ) {
    const source = project.addSourceFileAtPath(join(packageRoot, "templates", file));
    const properties = source.getInterfaceOrThrow(all).getProperties();
    this.interfaces = new Map(properties.map((property) => [property.getName(), property.getType()]));
  }
  read(template: string): string {
    return readFileSync(join(packageRoot, "templates", this.name, `${template}.hbs`), "utf8");
  }
  names(path: string): string[] {
    const files = readdirSync(join(packageRoot, "templates", this.name, path));
    return files.flatMap((file) => (file.endsWith(".hbs") ? [join(path, file.slice(0, -4))] : []));
  }
}

const dialects = [
  new Dialect("cpu", "params.ts", "TemplateParams"),
  new Dialect("gpu", "gpu-params.ts", "GpuTemplateParams"),
];

/** Fields of an object, without `null`; null for what has no fields. */
function fieldsOf(type: Type): Map<string, Type> | null {
  const plain = type.getNonNullableType();
  if (!(plain.isObject() || plain.isIntersection()) || plain.isArray() || plain.isReadonlyArray())
    return null;
  return new Map(
    plain
      .getProperties()
      .map((property) => [property.getName(), property.getTypeAtLocation(property.getDeclarations()[0]!)]),
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

  constructor(private readonly dialect: Dialect) {}

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
        this.program(Handlebars.parse(this.dialect.read(`partials/${name}`)), scopes, depth);
        return;
      }
      case "BlockStatement": {
        const block = statement as hbs.AST.BlockStatement;
        const helper = block.path.original;
        expect(["if", "unless", "each"]).toContain(helper);
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

describe.each(dialects)("templates of the dialect $name", (dialect) => {
  const { interfaces } = dialect;

  test("every template has an interface, and every interface a template", () => {
    expect(dialect.names("").sort()).toEqual([...interfaces.keys()].sort());
  });

  test.each(dialect.names(""))("%s uses exactly the names of its interface", (name) => {
    const reader = new Reader(dialect);
    const type = interfaces.get(name)!;
    reader.program(Handlebars.parse(dialect.read(name)), [{ type, prefix: "" }]);
    expect(reader.unknown).toEqual([]);
    expect(pathsOf(type).filter((path) => !reader.used.has(path))).toEqual([]);
    expect(reader.deepest, "nesting").toBeLessThanOrEqual(2);
  });

  test("a template is a page: at most 60 lines", () => {
    for (const name of [...dialect.names(""), ...dialect.names("partials")]) {
      const lines = dialect.read(name).trimEnd().split("\n");
      expect(lines.length, name).toBeLessThanOrEqual(60);
    }
  });

  test("every partial is used", () => {
    const all = dialect
      .names("")
      .map((name) => dialect.read(name))
      .join();
    const partials = dialect.names("partials").map((name) => name.slice("partials/".length));
    for (const name of partials) expect(all).toContain(`{{> ${name}}}`);
  });

  test("the reader sees a misspelt name inside #if", () => {
    const reader = new Reader(dialect);
    const scope = { type: interfaces.get("project")!, prefix: "" };
    const text = "{{#if gates}}x{{/if}}{{#each products}}{{#if ../residuals}}{{/if}}{{/each}}";
    reader.program(Handlebars.parse(text), [scope]);
    expect(reader.unknown).toEqual(["gates", "../residuals"]);
  });
});
