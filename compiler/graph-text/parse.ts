import { conflict, formText } from "../ir/forms.js";
import type { Graph, Node, ValueId } from "../ir/graph.js";
import type { ByteAccount, InputGroup, LinearPlan, Plan } from "../ir/plan.js";
import { violations, violationText } from "../ir/verify.js";
import { layoutKinds } from "../layout/devices.js";
import { accountBytes } from "../passes/account-bytes.js";
import { shareInputs } from "../passes/share-inputs.js";
import { parseCall } from "./codec-objects.js";
import { modelFields, type PlanHeader, type WrittenModel } from "./grammar-nodes.js";
import { type Decision, isNode, parseNode } from "./node-calls.js";
import { type Binding, resolve, type Scope, unknownFunction } from "./parse-fields.js";
import { type Expression, graphError, readStatements, type Statement } from "./parse-syntax.js";
import { quote } from "./print-names.js";

/** What a graph.ts says. */
export interface ParsedPlan {
  readonly plan: Plan;
  readonly header: PlanHeader;
}

/** The verdict of a linear whose form was changed by hand. */
export const editedVerdict = "edited in graph.ts";

/**
 * Reads the text of a graph.ts, statically: nothing in it is run. `file` is what errors call it. Groups and bytes are
 * made anew; a verdict is kept where the bytes beside it are still those of the form. All errors are of the category
 * usage and name file:line:column: `graph-syntax`, `graph-statement`, `graph-expression`, `graph-arguments`,
 * `graph-unknown-function`, `graph-unknown-property`, `graph-duplicate-property`, `graph-missing-property`,
 * `graph-wrong-type`, `graph-unknown-value`, `graph-use-before-definition`, `graph-duplicate-id`, `graph-k-range`,
 * `graph-epsilon-range`, `graph-quantizer-range`, `graph-rank-range`,
 * `graph-threshold-range`, `graph-forms-differ`, `graph-model`, `graph-inconsistent`.
 */
export async function parsePlan(file: string, text: string): Promise<ParsedPlan> {
  const statements = await readStatements(file, text);
  const reader = new GraphReader(statements);
  let model: { readonly place: string; readonly graph: Graph; readonly header: PlanHeader } | null = null;
  for (const statement of statements) {
    if (statement.name !== null) {
      reader.define(statement.name, statement);
      continue;
    }
    if (model !== null)
      throw graphError("model", "there are two models", statement.place, "keep one default export");
    model = { place: statement.place, ...reader.model(statement.value) };
  }
  if (model === null) {
    const hint = "end the file with `export default model({ ... }, logits);`";
    throw graphError("model", "there is no model", `${file}:1:1`, hint);
  }
  const graph = { ...model.graph, nodes: reader.nodes };
  checkWiring(graph, reader.places, model.place);
  return { plan: planOf(graph, reader.decisions), header: model.header };
}

/** Collects nodes statement by statement. */
class GraphReader implements Scope {
  readonly nodes: Node[] = [];
  readonly places = new Map<ValueId, string>();
  readonly decisions = new Map<ValueId, Decision>();
  readonly defined: ReadonlySet<string>;
  readonly bindings = new Map<string, Binding>();

  constructor(statements: readonly Statement[]) {
    this.defined = new Set(statements.flatMap(({ name }) => (name === null ? [] : [name])));
  }

  /** Binds a constant: to a new node where it is the call of an operator. */
  define(name: string, { place, value: written }: Statement): void {
    if (this.bindings.has(name)) {
      throw graphError("duplicate-id", `${name} is defined twice`, place, "give one of the two another name");
    }
    const value = resolve(this, written);
    const alias = value.kind === "name" ? this.bindings.get(value.name) : undefined;
    if (value.kind !== "call" || value !== written || !isNode(value)) {
      this.bindings.set(name, alias ?? { kind: "constant", value });
      return;
    }
    const { node, decision } = parseNode(this, value, name);
    if (this.places.has(node.id)) {
      const hint = `it is already defined at ${this.places.get(node.id)}`;
      throw graphError("duplicate-id", `two values are called ${quote(node.id)}`, place, hint);
    }
    this.nodes.push(node);
    if (decision !== null) this.decisions.set(node.id, decision);
    this.places.set(node.id, place);
    this.bindings.set(name, { kind: "value", id: node.id });
  }

  model(value: Expression): { graph: Graph; header: PlanHeader } {
    if (value.kind !== "call" || value.function !== "model") {
      if (value.kind === "call") throw unknownFunction(value, ["model"], "the default export is model(...)");
      throw graphError(
        "model",
        "the default export is not a model",
        value.place,
        "write `export default model(...)`",
      );
    }
    const read = parseCall<WrittenModel, unknown>(modelFields, this, value, {});
    const { config, fingerprint, ...graph } = read.value;
    return { graph: { ...graph, nodes: this.nodes }, header: { config, fingerprint } };
  }
}

// ------------------------------------------------------------------------------------------------------ plan

function planOf(graph: Graph, decisions: ReadonlyMap<ValueId, Decision>): Plan {
  const shared = shareInputs({ graph, linears: new Map(), groups: [] });
  const { groups } = shared;
  for (const group of groups) checkShared(group, decisions);
  const decided = [...shared.linears].map(([id, plan]): [ValueId, LinearPlan] => {
    const { form, verdict } = decisions.get(id)!;
    return [id, { ...plan, form, verdict: verdict ?? editedVerdict }];
  });
  const accounted = accountWritten({ graph, linears: new Map(decided), groups }, decisions);
  const linears = new Map<ValueId, LinearPlan>();
  const kept = (id: ValueId) => sameBytes(decisions.get(id)!.bytes, accounted.linears.get(id)!.bytes);
  // Of a changed k, padding may hide all but the bytes of the basis, which the first of a group has.
  const whole = new Set(groups.flatMap((group) => (group.linears.every(kept) ? group.linears : [])));
  for (const [id, plan] of accounted.linears)
    linears.set(id, whole.has(id) ? plan : { ...plan, verdict: editedVerdict });
  return { graph, linears, groups };
}

/** Counts bytes as weights are packed for the device of the build that wrote the file: of those, the nearest to it. */
function accountWritten(plan: Plan, decisions: ReadonlyMap<ValueId, Decision>): Plan {
  const accounts = layoutKinds.map((device) => {
    const accounted = accountBytes(plan, { device });
    const same = [...accounted.linears].filter(([id, { bytes }]) =>
      sameBytes(decisions.get(id)!.bytes, bytes),
    );
    return { accounted, same: same.length };
  });
  return accounts.reduce((best, one) => (one.same > best.same ? one : best)).accounted;
}

/** Throws `graph-forms-differ` where linears of one value cannot be computed side by side. */
function checkShared({ linears }: InputGroup, decisions: ReadonlyMap<ValueId, Decision>): void {
  const { form } = decisions.get(linears[0]!)!;
  for (const id of linears) {
    const other = decisions.get(id)!;
    const shared = conflict(other.form, form);
    if (shared === null) continue;
    const message = `${quote(id)} is ${formText(other.form)}, ${quote(linears[0]!)} is ${formText(form)}`;
    const hint = `linears that read one value share ${shared}: give them the same form`;
    throw graphError("forms-differ", message, other.place, hint);
  }
}

function sameBytes(written: ByteAccount | null, { dense, fast, middle, slow }: ByteAccount): boolean {
  return (
    written?.dense === dense && written.fast === fast && written.middle === middle && written.slow === slow
  );
}

/** Reports the first violation at the node that it is about; the count of others stands in the message. */
function checkWiring(graph: Graph, places: ReadonlyMap<ValueId, string>, modelPlace: string): void {
  const found = violations(graph);
  const first = found[0];
  if (first === undefined) return;
  const place = (first.node === null ? undefined : places.get(first.node)) ?? modelPlace;
  const more = found.length > 1 ? ` (and ${found.length - 1} more)` : "";
  const hint = "keep the wiring and the shapes that the model has; forms, k and epsilon can be edited freely";
  throw graphError("inconsistent", `${violationText(first)}${more}`, place, hint);
}
