import type { ts as TypeScript } from "ts-morph";
import { GsicError, messageOf } from "../support/errors.js";

/** An expression of a graph.ts: data, names and calls. `place` is file:line:column, counted from 1. */
export type Expression = { readonly place: string } & (
  | { readonly kind: "literal"; readonly value: string | number | boolean }
  | { readonly kind: "name"; readonly name: string }
  | { readonly kind: "list"; readonly items: readonly Expression[] }
  | { readonly kind: "record"; readonly properties: ReadonlyMap<string, Property> }
  | { readonly kind: "call"; readonly function: string; readonly arguments: readonly Expression[] }
);

/** What an object says under one name. */
export interface Property {
  /** Of the property's name. */
  readonly place: string;
  readonly value: Expression;
}

/** `const name = value`, or `export default value` where `name` is null. */
export interface Statement {
  readonly name: string | null;
  readonly place: string;
  readonly value: Expression;
}

/**
 * The statements of a graph.ts, read statically: nothing in it is ever run. Throws `graph-syntax`, `graph-statement`,
 * `graph-expression` and `graph-duplicate-property`.
 */
export async function readStatements(file: string, text: string): Promise<readonly Statement[]> {
  // Takes 0.6 s, which only who builds from a graph.ts should wait for.
  const { Project, ts } = await import("ts-morph");
  const project = new Project({
    useInMemoryFileSystem: true,
    compilerOptions: { noLib: true, noResolve: true, target: ts.ScriptTarget.ESNext },
  });
  try {
    const source = project.createSourceFile("/graph.ts", text);
    const [first] = project.getProgram().getSyntacticDiagnostics(source);
    if (first !== undefined) {
      const place = placeAt(file, source.compilerNode, first.getStart() ?? 0);
      const message = ts.flattenDiagnosticMessageText(first.compilerObject.messageText, " ");
      throw graphError("syntax", message, place, "correct the TypeScript; an editor marks the place");
    }
    return new Syntax(ts, file, source.compilerNode).statements();
  } catch (error) {
    if (error instanceof GsicError) throw error;
    if (!(error instanceof RangeError)) throw error;
    throw graphError(
      "syntax",
      `cannot be read: ${messageOf(error)}`,
      file,
      "expressions are nested too deeply",
    );
  }
}

/** The error of a graph.ts: category usage, `graph-` before the code. */
export function graphError(code: string, message: string, where: string, hint: string): GsicError {
  return new GsicError({ category: "usage", code: `graph-${code}`, message, where, hint });
}

/** Turns the syntax tree of one file into statements. */
class Syntax {
  constructor(
    private readonly ts: typeof TypeScript,
    private readonly file: string,
    private readonly source: TypeScript.SourceFile,
  ) {}

  statements(): readonly Statement[] {
    return this.source.statements.flatMap((statement) => this.statement(statement));
  }

  private statement(node: TypeScript.Statement): readonly Statement[] {
    const { ts } = this;
    if (ts.isEmptyStatement(node)) return [];
    if (ts.isImportDeclaration(node)) {
      const from = node.moduleSpecifier;
      if (ts.isStringLiteral(from) && from.text === "gsic/graph") return [];
      throw this.error(
        "statement",
        "only gsic/graph can be imported",
        from,
        "write what you need into this file",
      );
    }
    if (ts.isExportAssignment(node) && node.isExportEquals !== true) {
      return [{ name: null, place: this.place(node), value: this.expression(node.expression) }];
    }
    if (
      ts.isVariableStatement(node) &&
      (node.declarationList.flags & ts.NodeFlags.BlockScoped) === ts.NodeFlags.Const
    ) {
      return node.declarationList.declarations.map((declaration) => this.declaration(declaration));
    }
    const hint = "write `const name = ...` per value, and `export default model(...)` at the end";
    throw this.error("statement", "such a statement cannot stand in a graph", node, hint);
  }

  private declaration({ name, initializer }: TypeScript.VariableDeclaration): Statement {
    if (!this.ts.isIdentifier(name) || initializer === undefined) {
      throw this.error(
        "statement",
        "a constant must be one name with a value",
        name,
        "write `const name = ...`",
      );
    }
    return { name: name.text, place: this.place(name), value: this.expression(initializer) };
  }

  private expression(node: TypeScript.Expression): Expression {
    const { ts } = this;
    const place = this.place(node);
    if (ts.isParenthesizedExpression(node) || ts.isAsExpression(node) || ts.isSatisfiesExpression(node)) {
      return this.expression(node.expression);
    }
    if (ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node)) {
      return { place, kind: "literal", value: node.text };
    }
    if (ts.isNumericLiteral(node)) return { place, kind: "literal", value: Number(node.text) };
    if (node.kind === ts.SyntaxKind.TrueKeyword) return { place, kind: "literal", value: true };
    if (node.kind === ts.SyntaxKind.FalseKeyword) return { place, kind: "literal", value: false };
    if (ts.isPrefixUnaryExpression(node) && node.operator === ts.SyntaxKind.MinusToken) {
      if (ts.isNumericLiteral(node.operand))
        return { place, kind: "literal", value: -Number(node.operand.text) };
    }
    if (ts.isIdentifier(node)) return { place, kind: "name", name: node.text };
    if (ts.isArrayLiteralExpression(node)) {
      return { place, kind: "list", items: node.elements.map((element) => this.expression(element)) };
    }
    if (ts.isObjectLiteralExpression(node))
      return { place, kind: "record", properties: this.properties(node) };
    if (ts.isCallExpression(node) && ts.isIdentifier(node.expression)) {
      const { text } = node.expression;
      return {
        place,
        kind: "call",
        function: text,
        arguments: node.arguments.map((one) => this.expression(one)),
      };
    }
    const hint =
      "write literals, names of constants, [lists], { objects } and calls of gsic/graph; nothing is run";
    throw this.error("expression", "such an expression cannot stand in a graph", node, hint);
  }

  private properties(node: TypeScript.ObjectLiteralExpression): ReadonlyMap<string, Property> {
    const { ts } = this;
    const properties = new Map<string, Property>();
    for (const property of node.properties) {
      const { name } = property;
      const plain = name !== undefined && (ts.isIdentifier(name) || ts.isStringLiteral(name));
      const assigned = ts.isPropertyAssignment(property) || ts.isShorthandPropertyAssignment(property);
      if (!plain || !assigned) {
        throw this.error(
          "expression",
          "such a property cannot stand in a graph",
          property,
          "write `name: value`",
        );
      }
      const value = ts.isPropertyAssignment(property) ? property.initializer : property.name;
      if (properties.has(name.text)) {
        throw this.error("duplicate-property", `${name.text} is given twice`, name, "keep one of the two");
      }
      properties.set(name.text, { place: this.place(name), value: this.expression(value) });
    }
    return properties;
  }

  private place(node: TypeScript.Node): string {
    return placeAt(this.file, this.source, node.getStart(this.source));
  }

  private error(code: string, message: string, node: TypeScript.Node, hint: string): GsicError {
    return graphError(code, message, this.place(node), hint);
  }
}

function placeAt(file: string, source: TypeScript.SourceFile, position: number): string {
  const { line, character } = source.getLineAndCharacterOfPosition(position);
  return `${file}:${line + 1}:${character + 1}`;
}
