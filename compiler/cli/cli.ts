import { Argument, Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { modes } from "../config/config.js";
import { GsicError } from "../support/errors.js";
import { didYouMean } from "../support/suggest.js";
import { version } from "../support/version.js";
import * as commands from "./commands.js";
import { completionScript, type Shell, shells } from "./completion.js";

/** Runs the command line; returns the exit code. Standard output is for results, everything else goes to stderr. */
export async function main(argv: readonly string[]): Promise<number> {
  process.stdout.on("error", outputFailed);
  try {
    await program().parseAsync([...argv]);
    return typeof process.exitCode === "number" ? process.exitCode : 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    if (error instanceof GsicError) {
      process.stderr.write(describe(error));
      return error.exitCode;
    }
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    process.stderr.write(`gsic: a defect of gsic; please report it\n${text}\n`);
    return 1;
  }
}

/** A closed pipe is how a reader says that it has enough; anything else is lost output. */
function outputFailed(error: NodeJS.ErrnoException): void {
  if (error.code === "EPIPE") process.exit(0);
  process.stderr.write(`gsic: standard output cannot be written: ${error.message} [output-unwritable]\n`);
  process.exit(4);
}

/** An error for people: what, where, what next. */
export function describe(error: GsicError): string {
  const lines = [`gsic: ${error.message} [${error.code}]`];
  if (error.where !== undefined && error.where !== "") lines.push(`  at    ${error.where}`);
  if (error.hint !== undefined) lines.push(`  next  ${error.hint}`);
  return `${lines.join("\n")}\n`;
}

/** All commands, as commander knows them. */
export function program(): Command {
  const gsic = new Command("gsic")
    .description("An ahead-of-time compiler that makes transformer inference faster.")
    .version(version)
    .exitOverride()
    .configureHelp({ showGlobalOptions: true });
  const json = () => new Option("--json", "print one JSON document on stdout and nothing else");
  const mode = () => choice("--mode <mode>", "how linears are computed", modes);

  gsic
    .command("build <input>")
    .description("build a model.toml, or the edited graph.ts of an earlier build")
    .option("--out <dir>", "output folder (default: build/<name>)")
    .option("--target <names>", "targets, separated by commas (default: this machine's CPU)", list)
    .addOption(mode())
    .option("--dump <dir>", "write the plan after every pass into this folder")
    .addOption(json())
    .addHelpText("after", "\nExample: gsic build examples/tiny-gpt2/model.toml")
    .action(commands.build);
  gsic
    .command("calibrate <model.toml>")
    .description("collect statistics of every linear's input")
    .option("--out <file>", "where to write them", "stats.safetensors")
    .addOption(json())
    .addHelpText("after", "\nExample: gsic calibrate examples/tiny-gpt2/model.toml --out stats.safetensors")
    .action(commands.calibrate);
  gsic
    .command("inspect <path>")
    .description("show the rewritten graph of a build folder, or of a model.toml")
    .addOption(json())
    .option("--dot", "print the graph for Graphviz")
    .option("--html <file>", "write a page that needs nothing else (of a build folder)")
    .option("--onnx <file>", "write the graph, without weights, for viewers of ONNX such as Netron")
    .addHelpText("after", "\nExample: gsic inspect build/tiny-gpt2")
    .action(commands.inspect);
  gsic
    .command("diff <first> <second>")
    .description("show what changed between two build folders: forms, bytes, quality, kernels")
    .addOption(json())
    .addHelpText("after", "\nExample: gsic diff build/before build/after")
    .action(commands.diff);
  gsic
    .command("run <build>")
    .description("generate text")
    .option("--prompt <text>", "the text to go on from")
    .addOption(new Option("--ids <ids>", "the prompt as token ids").argParser(ids).conflicts("prompt"))
    .option("--tokens <n>", "most tokens to generate", count, 128)
    .addOption(mode())
    .option("--temperature <t>", "0 takes the likeliest token", amount, 0)
    .option("--top-k <k>", "sample among the k likeliest tokens", count)
    .option("--top-p <p>", "sample among the likeliest tokens that together have this probability", amount)
    .option("--seed <s>", "seed of the sampler", count)
    .option("--threads <n>", "threads (default: the cores this process may use)", count)
    .addOption(json())
    .addHelpText("after", '\nExample: gsic run build/tiny-gpt2 --prompt "Once upon a time" --tokens 64')
    .action(commands.run);
  gsic
    .command("logits <build>")
    .description('write the logits of token ids: tensor "logits" [tokens, vocabulary] f32')
    .requiredOption("--ids <ids>", "token ids, separated by commas", ids)
    .requiredOption("--out <file>", "safetensors file to write")
    .addOption(mode())
    .addHelpText("after", "\nExample: gsic logits build/tiny-gpt2 --ids 1,2,3 --out logits.safetensors")
    .action(commands.logits);
  gsic
    .command("eval <build>")
    .description("measure perplexity, KL and agreement, on held-out and on calibration text")
    .option("--text <file>", "measure on this text instead of the configured held-out text")
    .addOption(mode())
    .addOption(json())
    .addHelpText("after", "\nExample: gsic eval build/tiny-gpt2")
    .action(commands.evaluate);
  gsic
    .command("bench <build>")
    .description("measure speed, as a ratio to the dense path and to the machine's read ceiling")
    .option("--tokens <n>", "tokens written behind each prompt", count, 64)
    .option("--repeat <n>", "prompts, each measured in every mode", count, 5)
    .option("--prompt <n>", "tokens of a prompt", count, 16)
    .option("--threads <n>", "threads (default: the cores this process may use)", count)
    .option("--scaling", "also measure with 1, 2, 4, ... threads (CPUs)")
    .option("--launches", "measure each launch of a token: in its step (CPUs), or alone (GPUs)")
    .addOption(mode().conflicts("tune"))
    .option("--tune [file]", "measure how projections are best divided, for the next build (GPUs)")
    .option("--candidates <splits>", "what --tune tries (default: 1,2,4,8,16)", splits)
    .addOption(json())
    .addHelpText("after", "\nExample: gsic bench build/tiny-gpt2 --repeat 50 --tokens 128")
    .action(commands.bench);
  gsic
    .command("serve <build>")
    .description("serve a build through OpenAI's HTTP interface (completions, chat, streaming)")
    .option("--host <host>", "address to listen on; this machine alone by default", "127.0.0.1")
    .option("--port <port>", "port to listen on; 0: one that is free", port, 8080)
    .addOption(mode())
    .option("--threads <n>", "threads (default: the cores this process may use)", count)
    .option("--concurrency <n>", "requests that generate at once", positive, 4)
    .option("--queue <n>", "requests that wait; more get status 429", count, 32)
    .option("--max-tokens <n>", "most tokens of an answer (default: the context's room)", positive)
    .option("--max-body <bytes>", "most bytes of a request", positive, 1 << 20)
    .option("--stall <seconds>", "how long a reader may take nothing", positive, 30)
    .option("--grace <seconds>", "how long requests may go on after SIGTERM or SIGINT", count, 30)
    .addOption(json())
    .addHelpText("after", "\nExample: gsic serve build/tiny-gpt2 --port 8080")
    .action(commands.serve);
  gsic
    .command("doctor")
    .description("check what gsic needs of this machine: compilers, devices, disks, cache")
    .addOption(json())
    .addHelpText("after", "\nExample: gsic doctor")
    .action(commands.doctor);
  gsic
    .command("completion")
    .description("print the script by which a shell completes gsic's commands and options")
    .addArgument(new Argument("<shell>", "the shell").choices(shells))
    .addHelpText("after", "\nExample: source <(gsic completion bash)")
    .action((shell: Shell) => {
      process.stdout.write(completionScript(shell, gsic));
    });
  for (const command of gsic.commands) command.exitOverride();
  return gsic;
}

/** Ids are 32-bit integers. */
const mostId = 2 ** 31 - 1;

/** An option that takes one of some words. */
function choice(flags: string, description: string, words: readonly string[]): Option {
  return new Option(flags, description).choices(words).argParser((word) => {
    if (words.includes(word)) return word;
    throw new InvalidArgumentError(`${didYouMean(word, words)}Allowed choices are ${words.join(", ")}.`);
  });
}

function list(text: string): string[] {
  return text.split(",").filter((part) => part !== "");
}

function count(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError("not a non-negative integer");
  return Number(text);
}

function positive(text: string): number {
  const value = count(text);
  if (value === 0) throw new InvalidArgumentError("not a positive integer");
  return value;
}

function port(text: string): number {
  const value = count(text);
  if (value > 65535) throw new InvalidArgumentError("ports end at 65535");
  return value;
}

function amount(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value) || value < 0) {
    throw new InvalidArgumentError("not a non-negative number");
  }
  return value;
}

function splits(text: string): number[] {
  return text.split(",").map((part) => {
    if (["1", "2", "4", "8", "16"].includes(part.trim())) return Number(part);
    throw new InvalidArgumentError("give some of 1,2,4,8,16");
  });
}

function ids(text: string): number[] {
  return text.split(",").map((part, index) => {
    const id = part.trim();
    if (/^\d{1,10}$/.test(id) && Number(id) <= mostId) return Number(id);
    const what = id === "" ? "is missing" : `is ${JSON.stringify(id)}, not an integer from 0 to ${mostId}`;
    throw new InvalidArgumentError(`id ${index + 1} ${what}; give ids like 1,2,3`);
  });
}
