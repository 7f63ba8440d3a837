/**
 * node dist/examples/bench/compile-time.js [--repeat N] [TARGET ...]: seconds of CPU time (user and system) that the
 * compilers take for the kernels of tiny-gpt2 and of SmolLM2's shapes, from empty caches, by phase and kernel; of N
 * runs the least. Targets are those of targets/, and `simulated-TARGET`, a GPU's kernels on this machine. Default: the CPU targets.
 * `runtime` stands for the products of the runtime, one behind the other into one cache. compile-time.md has the figures.
 */

import { execFileSync } from "node:child_process";
import {
  chmodSync,
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { findGpuCompiler } from "../../compiler/cc/gpu-compiler.js";
import { compileFor, compileSimulation } from "../../compiler/cc/index.js";
import { compileRuntime } from "../../compiler/cc/runtime.js";
import type { Target } from "../../compiler/config/target.js";
import { machineTargets, readTarget } from "../../compiler/config/targets.js";
import type { DType, Graph } from "../../compiler/ir/graph.js";
import type { Form, Plan } from "../../compiler/ir/plan.js";
import type { Kernel } from "../../compiler/ir/program.js";
import { readGraph } from "../../compiler/models/index.js";
import { makePlan } from "../../compiler/passes/index.js";
import { Weights } from "../../compiler/read/weights.js";
import { schedule } from "../../compiler/schedule/program.js";
import { packageRoot } from "../../compiler/support/paths.js";

const folder = mkdtempSync(join(tmpdir(), "gsic-compile-time-"));
const log = join(folder, "log");

/** One run of a compiler. */
interface Run {
  readonly phase: string;
  readonly seconds: number;
}

/** A command that runs a compiler and writes down what it took. */
function measured(compiler: string, name: string): string {
  const path = join(folder, name);
  writeFileSync(
    path,
    `#!/bin/bash
TIMEFORMAT="%U %S"
exec 3>&1 4>&2
taken=$({ time "${compiler}" "$@" 1>&3 2>&4; } 2>&1)
code=$?
printf '%s\\t%s\\n' "$taken" "$*" >>"${log}"
exit $code
`,
  );
  chmodSync(path, 0o755);
  return path;
}

function runs(): Run[] {
  if (!existsSync(log)) return [];
  const lines = readFileSync(log, "utf8").trim().split("\n");
  return lines.flatMap((line) => {
    const [taken, args] = line.split("\t") as [string, string];
    const seconds = taken.split(" ").reduce((sum, value) => sum + Number(value), 0);
    const source = /-c (\S+)\.cpp/.exec(args)?.[1] ?? / (\S+)\.cpp/.exec(args)?.[1];
    if (args.startsWith("-shared") || /^\S+\.o /.test(args)) return [{ phase: "link", seconds }];
    if (args.includes("c++-header")) return [{ phase: "precompiled header", seconds }];
    return source === undefined ? [] : [{ phase: basename(source), seconds }];
  });
}

/** A folder that looks like SmolLM2-135M with one layer: shapes count, and the weights are a hole in the file. */
async function smollm2(): Promise<Graph> {
  const [hidden, inner, vocabulary, heads, kvHeads, headDim] = [576, 1536, 49152, 9, 3, 64];
  const layer = "model.layers.0.";
  const shapes: Record<string, readonly number[]> = {
    "model.embed_tokens.weight": [vocabulary, hidden],
    [`${layer}self_attn.q_proj.weight`]: [heads * headDim, hidden],
    [`${layer}self_attn.k_proj.weight`]: [kvHeads * headDim, hidden],
    [`${layer}self_attn.v_proj.weight`]: [kvHeads * headDim, hidden],
    [`${layer}self_attn.o_proj.weight`]: [hidden, heads * headDim],
    [`${layer}mlp.gate_proj.weight`]: [inner, hidden],
    [`${layer}mlp.up_proj.weight`]: [inner, hidden],
    [`${layer}mlp.down_proj.weight`]: [hidden, inner],
    [`${layer}input_layernorm.weight`]: [hidden],
    [`${layer}post_attention_layernorm.weight`]: [hidden],
    "model.norm.weight": [hidden],
  };
  const path = join(folder, "smollm2");
  mkdirSync(path);
  writeTensors(join(path, "model.safetensors"), shapes);
  const config = {
    architectures: ["LlamaForCausalLM"],
    ...{ model_type: "llama", hidden_act: "silu", hidden_size: hidden, intermediate_size: inner },
    ...{ num_hidden_layers: 1, num_attention_heads: heads, num_key_value_heads: kvHeads },
    ...{ vocab_size: vocabulary, max_position_embeddings: 8192, rms_norm_eps: 1e-5, rope_theta: 100000 },
    tie_word_embeddings: true,
  };
  writeFileSync(join(path, "config.json"), JSON.stringify(config));
  return graphOf(path, "smollm2");
}

function writeTensors(path: string, shapes: Readonly<Record<string, readonly number[]>>): void {
  let offset = 0;
  const header: Record<string, unknown> = {};
  for (const [name, shape] of Object.entries(shapes)) {
    const bytes = 2 * shape.reduce((product, size) => product * size);
    header[name] = { dtype: "BF16", shape, data_offsets: [offset, offset + bytes] };
    offset += bytes;
  }
  const text = JSON.stringify(header);
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(text.length));
  const file = openSync(path, "w");
  writeSync(file, size);
  writeSync(file, text);
  ftruncateSync(file, 8 + text.length + offset);
  closeSync(file);
}

async function graphOf(path: string, name: string): Promise<Graph> {
  const weights = await Weights.open(path);
  const graph = readGraph(weights, name);
  weights.close();
  return graph;
}

function stored(graph: Graph, dtype: DType): Graph {
  const nodes = graph.nodes.map((node) =>
    node.kind === "linear" ? { ...node, weight: { ...node.weight, dtype } } : node,
  );
  return { ...graph, nodes };
}

function dense(graph: Graph): Plan {
  return makePlan(graph, { options: { forms: ["dense"], k: [1], epsilon: [1] } });
}

function tiered(graph: Graph): Plan {
  const plan = dense(graph);
  const quantizer = { bits: 5, group: 32, symmetric: true } as const;
  const form: Form = { gate: null, tier: { quantizer, rank: 16, exact: null } };
  const linears = [...plan.linears].map(
    ([id, linear]) => [id, id === graph.output ? linear : { ...linear, form }] as const,
  );
  return { ...plan, linears: new Map(linears) };
}

async function plans(): Promise<Readonly<Record<string, Plan>>> {
  const graph = await smollm2();
  const tiny = await graphOf(join(packageRoot, "examples/tiny-gpt2/model"), "tiny-gpt2");
  return {
    "tiny-gpt2": dense(tiny),
    "SmolLM2, bf16": dense(graph),
    "SmolLM2, q4_1": dense(stored(graph, "q4_1")),
    "SmolLM2, 5 bits, rank 16": tiered(graph),
  };
}

/** What compiling kernels takes with a cache of its own. */
async function compile(
  kernels: readonly Kernel[],
  target: Target,
  simulated: boolean,
  cache: string,
): Promise<Run[]> {
  rmSync(log, { force: true });
  process.env.GSIC_CACHE = join(folder, cache);
  if (simulated && "gpu" in target) await compileSimulation(kernels, target.gpu.wave, machineTargets()[0]!);
  else await compileFor(kernels, target);
  return runs();
}

function least(repeated: readonly (readonly Run[])[]): Map<string, number> {
  const result = new Map<string, number>();
  for (const { phase, seconds } of repeated.flat())
    result.set(phase, Math.min(result.get(phase) ?? Number.POSITIVE_INFINITY, seconds));
  return result;
}

const products = ["tool", "library", "executable", "addon", "mock-driver"] as const;

/** What compiling the runtime takes: a product takes what those before it have left. */
async function measureRuntime(): Promise<void> {
  process.env.GSIC_CACHE = join(folder, "runtime");
  for (const product of products) {
    rmSync(log, { force: true });
    await compileRuntime(product);
    print(product, least([runs()]));
  }
}

function print(title: string, phases: ReadonlyMap<string, number>): void {
  const total = [...phases.values()].reduce((sum, seconds) => sum + seconds, 0);
  console.log(`\n${title}, ${total.toFixed(2)} s`);
  for (const [phase, seconds] of phases) console.log(`  ${seconds.toFixed(2).padStart(6)}  ${phase}`);
}

async function main(args: readonly string[]): Promise<void> {
  const at = args.indexOf("--repeat");
  const repeat = at < 0 ? 3 : Number(args[at + 1]);
  const named = args.filter((_, index) => at < 0 || (index !== at && index !== at + 1));
  const names = named.length > 0 ? named : ["cpu-avx512", "cpu-avx2", "cpu-portable"];
  process.env.CXX = measured((await findCompilerCommand()) ?? "g++", "compiler");
  const clang = await findGpuCompiler("hip").catch(() => null);
  if (clang !== null) process.env.GSIC_CLANG = measured(clang.command, "clang");
  if (names.includes("runtime")) return measureRuntime();
  for (const [model, plan] of Object.entries(await plans()))
    for (const name of names) {
      const simulated = name.startsWith("simulated-");
      const target = readTarget(name.replace("simulated-", ""));
      const { kernels } = schedule(plan, [model.includes("bits") ? "bounded" : "exact"], target, {
        linears: target.device === "cpu",
      });
      const repeated = [];
      for (let i = 0; i < repeat; i++)
        repeated.push(await compile(kernels, target, simulated, `${model}-${name}-${i}`));
      print(`${model} on ${name}: ${kernels.length} kernels`, least(repeated));
    }
}

/** The compiler's own path, before $CXX names the command that measures it. */
async function findCompilerCommand(): Promise<string | null> {
  const command = process.env.CXX ?? "g++";
  try {
    return execFileSync("which", [command], { encoding: "utf8" }).trim();
  } catch {
    return null;
  }
}

try {
  await main(process.argv.slice(2));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
