import { Command, CommanderError } from "commander";
import { GsicError } from "../support/errors.js";
import { finishStages } from "../support/progress.js";
import { runtimeError } from "../support/runtime-error.js";
import { systemError } from "../support/system-error.js";
import { version } from "../support/version.js";
import { addBench } from "./commands/bench.js";
import { addBuild } from "./commands/build.js";
import { addCalibrate } from "./commands/calibrate.js";
import { addChat } from "./commands/chat.js";
import { addCompletion } from "./commands/completion.js";
import { addDiff } from "./commands/diff.js";
import { addDoctor } from "./commands/doctor.js";
import { addEval } from "./commands/eval.js";
import { addExport } from "./commands/export.js";
import { addInspect } from "./commands/inspect.js";
import { addLogits } from "./commands/logits.js";
import { addRun } from "./commands/run.js";
import { addServe } from "./commands/serve.js";
import { addVerify } from "./commands/verify.js";
import { isReaderNeeded } from "./output.js";

/** The commands, in the order in which the help lists them. */
const commands = [
  addBuild,
  addCalibrate,
  addInspect,
  addDiff,
  addExport,
  addRun,
  addChat,
  addLogits,
  addEval,
  addBench,
  addServe,
  addVerify,
  addDoctor,
  addCompletion,
];

/** Runs the command line; returns the exit code. Standard output is for results, everything else goes to stderr. */
export async function main(argv: readonly string[]): Promise<number> {
  process.stdout.on("error", outputFailed);
  // What is said beside results may get lost: a log that nobody reads any more must not end a server.
  process.stderr.on("error", () => {});
  try {
    await program().parseAsync([...argv]);
    return typeof process.exitCode === "number" ? process.exitCode : 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    finishStages();
    const known = error instanceof GsicError ? error : (systemError(error) ?? runtimeError(error));
    if (known !== null) {
      process.stderr.write(describe(known));
      return known.exitCode;
    }
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    process.stderr.write(`gsic: a defect of gsic; please report it\n${text}\n`);
    return 1;
  }
}

/** A closed pipe is how a reader says that it has enough, where there is more than one line; anything else is lost output. */
function outputFailed(error: NodeJS.ErrnoException): void {
  if (error.code === "EPIPE" && !isReaderNeeded()) process.exit(0);
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
  for (const add of commands) add(gsic);
  for (const command of gsic.commands) command.exitOverride();
  return gsic;
}
