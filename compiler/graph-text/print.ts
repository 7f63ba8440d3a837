import type { ValueId } from "../ir/graph.js";
import type { Plan } from "../ir/plan.js";
import { bytesPerToken } from "../passes/cost.js";
import { wrap } from "../support/text.js";
import { grouped, type Printer } from "./codec.js";
import { type CallText, onOneLine, printCall } from "./codec-objects.js";
import { formWord } from "./grammar-forms.js";
import { modelFields, type PlanHeader, type WrittenModel } from "./grammar-nodes.js";
import { printNode } from "./node-calls.js";
import { constantNames, freeName, quote } from "./print-names.js";
import { words } from "./words.js";

const columns = 110;

/**
 * A plan as the text of graph.ts: one statement per node, in execution order. The same plan gives the same text, and
 * `parsePlan` reads it back. Names reach the text as escaped string literals only. `note` is a sentence at its top, which
 * is not read back.
 */
export function printPlan(plan: Plan, header: PlanHeader, note: string | null = null): string {
  const { nodes, ...graph } = plan.graph;
  const names = constantNames(nodes.map((node) => node.id));
  const printer = new FilePrinter(names);
  const body: string[] = [];
  let section = "";
  for (const node of nodes) {
    const { layer } = node;
    const next = layer === null ? (body.length === 0 ? "input" : "output") : `layer ${layer}`;
    if (next !== section && !(layer === null && section === "input")) {
      body.push("", `// ${next}`);
      section = next;
    }
    const name = names.get(node.id)!;
    body.push(...layOut(`const ${name} = `, printNode(node, plan.linears.get(node.id), name, printer)));
  }
  const model = printCall<WrittenModel>("model", modelFields, { ...graph, ...header }, printer);
  const text = [...printer.lines(), ...body, "", ...layOut("export default ", model)].join("\n");
  return [...preamble(plan, note), ...importsOf(text), text, ""].join("\n");
}

/** What texts of one file refer to; collects the constants that they share. */
class FilePrinter implements Printer {
  /** By title, the names of the constants by the text that they hold. */
  private readonly sections = new Map<string, Map<string, string>>();
  private readonly taken: Set<string>;

  constructor(private readonly names: ReadonlyMap<ValueId, string>) {
    this.taken = new Set(names.values());
  }

  constantOf(id: ValueId): string {
    return this.names.get(id)!;
  }

  shared(title: string, stem: string, properties: readonly string[]): string {
    const section = this.sections.get(title) ?? new Map<string, string>();
    this.sections.set(title, section);
    const text = properties.join(", ");
    const name = section.get(text) ?? freeName(stem, this.taken);
    section.set(text, name);
    this.taken.add(name);
    return name;
  }

  /** The statements of the constants, which stand above the nodes. */
  lines(): string[] {
    return [...this.sections].flatMap(([title, section]) => {
      const lines = [...section].flatMap(([text, name]) => {
        const line = `const ${name} = { ${text} } as const;`;
        return line.length <= columns ? [line] : fill(`const ${name} = {`, text.split(", "), " } as const;");
      });
      return ["", `// ${title}`, ...lines];
    });
  }
}

// ---------------------------------------------------------------------------------------------------- layout

/** One statement: on one line where it fits, else with its properties filled into lines below its opening. */
function layOut(opening: string, call: CallText): string[] {
  const line = `${opening}${onOneLine(call)};`;
  if (line.length <= columns || call.properties.length === 0) return [line];
  const start = `${opening}${call.function}(${[...call.first, "{"].join(", ")}`;
  return fill(start, call.properties, ` ${["}", ...call.last].join(", ")});`);
}

/** The opening, then the pieces with commas between them in as few lines as hold them, the last one with the end. */
function fill(opening: string, pieces: readonly string[], end: string): string[] {
  const lines: string[] = [];
  pieces.forEach((piece, index) => {
    const text = index === pieces.length - 1 ? `${piece}${end}` : `${piece},`;
    const joined = `${lines.at(-1)} ${text}`;
    if (lines.length > 0 && joined.length <= columns) lines[lines.length - 1] = joined;
    else lines.push(`  ${text}`);
  });
  return [opening, ...lines];
}

function preamble(plan: Plan, note: string | null): string[] {
  const { dense, fast, slow } = bytesPerToken(plan);
  const rewritten = [...plan.linears.values()].filter(({ form }) => formWord(form) !== "dense").length;
  const read = `// Bytes of weights that a token reads in them: ${grouped(dense)} dense, ${grouped(fast)}`;
  const bytes =
    fast === slow
      ? [`${read} in this plan.`]
      : [`${read} with every gate closed,`, `// ${grouped(slow)} with every gate open.`];
  return [
    `// ${quote(plan.graph.name)}: ${plan.linears.size} linears, ${rewritten} of them rewritten.`,
    ...bytes,
    ...(note === null ? [] : wrap(note, columns - 3).map((line) => `// ${line}`)),
    "// To change a form, edit it here and give this file to `gsic build`. Bytes and verdicts are recomputed.",
    "",
  ];
}

function importsOf(text: string): string[] {
  const code = text.replace(/"(\\.|[^"\\])*"/g, '""');
  const used = words.filter((name) => new RegExp(`\\b${name}\\b(?!:)`).test(code));
  const line = `import { ${used.join(", ")} } from "gsic/graph";`;
  return line.length <= columns ? [line] : ["import {", `  ${used.join(", ")},`, '} from "gsic/graph";'];
}
