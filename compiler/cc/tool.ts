import { spawn } from "node:child_process";
import { GsicError } from "../support/errors.js";
import { buildRuntime } from "./index.js";

/** Told how far a long task is; `total` does not change. */
export type ProgressListener = (done: number, total: number) => void;

/** A line that gsic-tool writes on standard error for this file: how far it is, or why it ends (runtime/tools/tool.cpp). */
type ToolLine =
  | { readonly progress: number; readonly total: number }
  | {
      readonly error: {
        readonly code: string;
        readonly category: "usage" | "data" | "environment" | "defect";
        readonly message: string;
        /** A file, and maybe a byte of it; null where it is not known. */
        readonly where: string | null;
        /** What to do next; null where the tool knows nothing special. */
        readonly hint: string | null;
      };
    };

/** What a tool wrote on standard error. */
export interface ToolMessages {
  readonly error: Extract<ToolLine, { error: unknown }>["error"] | null;
  /** Lines that are not the tool's own, such as a library's. */
  readonly others: string;
}

/** Reads lines of a tool's standard error as they come; returns what they said when it ended. */
function readingLines(progress: ProgressListener) {
  let error: ToolMessages["error"] = null;
  let others = "";
  let rest = "";
  const take = (text: string) => {
    const line = toolLine(text);
    if (line === null) others += `${text}\n`;
    else if ("error" in line) error = line.error;
    else progress(line.progress, line.total);
  };
  return {
    write(text: string): void {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      lines.forEach(take);
    },
    end(): ToolMessages {
      if (rest !== "") take(rest);
      return { error, others: others.trim() };
    },
  };
}

/** Null where a line is no JSON of the tool. */
function toolLine(text: string): ToolLine | null {
  if (!text.startsWith("{")) return null;
  try {
    const line = JSON.parse(text) as object;
    return "progress" in line || "error" in line ? (line as ToolLine) : null;
  } catch {
    return null;
  }
}

/**
 * Runs a subcommand of gsic-tool (runtime/tools), the native helper that computes on bundles; returns its standard
 * output. `environment` is added to this process's own. Throws with the tool's own message if it fails.
 */
export async function runTool(
  args: readonly string[],
  progress: ProgressListener = () => {},
  environment: Readonly<Record<string, string>> = {},
): Promise<string> {
  const tool = await buildRuntime("tool");
  return new Promise((resolve, reject) => {
    const env = { ...process.env, ...environment };
    const child = spawn(tool, args, { stdio: ["ignore", "pipe", "pipe"], env });
    const out: Buffer[] = [];
    const lines = readingLines(progress);
    child.stdout.on("data", (chunk: Buffer) => out.push(chunk));
    child.stderr.setEncoding("utf8").on("data", (text: string) => lines.write(text));
    child.on("error", reject);
    child.on("close", (code, signal) => {
      if (code === 0) return resolve(Buffer.concat(out).toString());
      reject(toolError(args, signal ?? code ?? 1, lines.end()));
    });
  });
}

/** The error that gsic-tool reported. A tool that ended without one, or with a defect, has failed itself. */
export function toolError(
  args: readonly string[],
  ended: number | string,
  { error, others }: ToolMessages,
): GsicError {
  const place = args[1] ?? "gsic-tool";
  if (error === null || error.category === "defect") {
    return new GsicError({
      category: "defect",
      code: "tool-failed",
      message: `gsic-tool ${args[0]} ended with ${ended}: ${error?.message ?? others}`,
      where: place,
      hint: "this is a defect of gsic; please report it",
    });
  }
  const { category, code, message, where, hint } = error;
  return new GsicError({ category, code, message, where: where ?? place, hint: hint ?? nextSteps[category] });
}

/** What to do next where the tool does not say. */
const nextSteps = {
  usage: "change the command's arguments; gsic --help shows them",
  data: "build the model again: gsic build <model.toml>",
  environment: "check that the folder exists, may be written, and has room",
} as const;
