import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Graph, Node } from "../../ir/graph.js";
import { readText } from "../../read/file.js";
import { parsePlainJson } from "../../read/safetensors-json.js";
import type { Weights } from "../../read/weights.js";
import { GsicError } from "../../support/errors.js";
import { activationNames } from "../activations.js";

type Values = Readonly<Record<string, unknown>>;

/** What a file beside the graph says of the model, by its keys. */
interface Declaration {
  readonly file: string;
  readonly values: Values;
}

const maxConfig = 16 << 20;

/** What config.json and ONNX Runtime GenAI's genai_config.json beside a graph say; those that are there. */
export function declarationsOf({ config, folder }: Weights): readonly Declaration[] {
  const genai = join(folder, "genai_config.json");
  const found: Declaration[] = [];
  if (config !== undefined)
    found.push({
      file: join(folder, "config.json"),
      values: { ...config, ...tableOf(config, "rope_parameters") },
    });
  if (existsSync(genai)) {
    const model = tableOf(parsePlainJson(readText(genai, maxConfig), genai), "model");
    found.push({ file: genai, values: { ...model, ...tableOf(model, "decoder") } });
  }
  return found;
}

function tableOf(values: unknown, key: string): Values {
  const table = typeof values === "object" && values !== null ? (values as Values)[key] : null;
  return typeof table === "object" && table !== null && !Array.isArray(table) ? (table as Values) : {};
}

/** How long texts the model knows, as files beside it say. */
export function declaredContexts(declarations: readonly Declaration[]): readonly number[] {
  const keys = ["max_position_embeddings", "n_positions", "context_length"];
  const said = declarations.flatMap(({ values }) => keys.map((key) => values[key]));
  return said.filter((one): one is number => typeof one === "number" && Number.isSafeInteger(one) && one > 0);
}

/** Throws `onnx-config` where a file beside a graph contradicts what the graph computes. */
export function requireAgreement(declarations: readonly Declaration[], graph: Graph, source: string): void {
  const facts = factsOf(graph);
  for (const { file, values } of declarations)
    for (const { keys, what, found } of facts) {
      const key = keys.find((one) => values[one] !== undefined && values[one] !== null);
      const said = key === undefined ? undefined : values[key];
      if (agrees(said, found)) continue;
      throw new GsicError({
        category: "data",
        code: "onnx-config",
        message: `${key} = ${said}, but the graph has ${found} ${what}`,
        where: `${file}: ${key}, and ${source}`,
        hint: "both must be of one model: take both from one place, or put the .onnx file into a folder of its own",
      });
    }
}

/** Whether a file says what was found; what it says otherwise than by numbers and known words counts for nothing. */
function agrees(said: unknown, found: number | string): boolean {
  if (typeof said === "number" && typeof found === "number")
    return Math.abs(said - found) <= 1e-4 * Math.abs(found);
  const function_ = typeof said === "string" ? activationNames[said] : undefined;
  return function_ === undefined || typeof found === "number" || function_ === found;
}

interface Fact {
  /** What families call it. */
  readonly keys: readonly string[];
  readonly what: string;
  readonly found: number | string;
}

function factsOf({ nodes, vocabulary }: Graph): readonly Fact[] {
  const of = <Kind extends Node["kind"]>(kind: Kind) =>
    nodes.filter((node): node is Node & { readonly kind: Kind } => node.kind === kind);
  const attentions = of("attention");
  const attention = attentions[0]!;
  const norm = of("norm").find(({ heads }) => heads === 1);
  const activation = of("activation")[0];
  const ropes = of("rope");
  const thetas = new Set(ropes.map(({ theta }) => theta));
  const isPlain = ropes.every(({ scaling, rotaryDim }) => scaling.kind === "none" && rotaryDim > 2);
  const facts: Fact[] = [
    { keys: ["num_hidden_layers", "n_layer"], what: "layers", found: attentions.length },
    { keys: ["num_attention_heads", "n_head"], what: "heads", found: attention.heads },
    { keys: ["num_key_value_heads"], what: "heads of keys and values", found: attention.kvHeads },
    { keys: ["head_dim", "head_size"], what: "channels in a head", found: attention.headDim },
    { keys: ["vocab_size"], what: "logits for each token", found: vocabulary },
  ];
  if (norm !== undefined)
    facts.push(
      { keys: ["hidden_size", "n_embd"], what: "channels in its norms", found: norm.gain.length },
      {
        keys: ["rms_norm_eps", "layer_norm_epsilon"],
        what: "as the epsilon of its norms",
        found: norm.epsilon,
      },
    );
  if (activation !== undefined)
    facts.push({
      keys: ["activation_function", "hidden_act", "hidden_activation"],
      what: "as its activation function",
      found: activation.function,
    });
  if (thetas.size === 1 && isPlain)
    facts.push({
      keys: ["rope_theta"],
      what: "as the base of its rotary frequencies",
      found: [...thetas][0]!,
    });
  return facts;
}
