import { createInterface, type Interface } from "node:readline";
import { GsicError } from "../support/errors.js";
import type { Conversation } from "./conversation.js";

/** What stands before a message that is typed. */
const prompt = "> ";

const help = "/clear begins anew, /exit or Ctrl-D ends, Ctrl-C stops an answer";

/**
 * Talks in the terminal until its input ends: a line is a message, the answer appears as it is written. What is said about it
 * goes to standard error.
 */
export async function converse(
  conversation: Conversation,
  { name, mode }: { readonly name: string; readonly mode: string },
): Promise<void> {
  const terminal = process.stdin.isTTY === true;
  const lines = createInterface({
    input: process.stdin,
    output: terminal ? process.stdout : undefined,
    prompt,
  });
  if (terminal) process.stderr.write(`${name}, ${mode} mode. ${help}\n`);
  let answering: AbortController | undefined;
  const interrupt = () => {
    if (answering !== undefined) return answering.abort();
    if (!terminal) process.exit(130);
    process.stderr.write(`\n${help}\n`);
    lines.prompt();
  };
  lines.on("SIGINT", interrupt);
  process.on("SIGINT", interrupt);
  try {
    for await (const line of messages(lines, terminal)) {
      if (line === "/exit") break;
      if (line === "/clear") conversation.clear();
      else if (line === "/help") process.stderr.write(`${help}\n`);
      else if (line !== "") {
        answering = new AbortController();
        await answer(conversation, line, answering.signal);
        answering = undefined;
      }
    }
  } finally {
    process.off("SIGINT", interrupt);
    lines.close();
  }
}

/** Lines, each asked for when the one before is answered. */
async function* messages(lines: Interface, terminal: boolean): AsyncGenerator<string> {
  if (terminal) lines.prompt();
  for await (const line of lines) {
    yield line.trim();
    if (terminal) lines.prompt();
  }
}

async function answer(conversation: Conversation, line: string, signal: AbortSignal): Promise<void> {
  const begun = performance.now();
  const pieces = conversation.answer(line, signal);
  try {
    let piece = await pieces.next();
    for (; piece.done !== true; piece = await pieces.next()) process.stdout.write(piece.value);
    process.stdout.write("\n");
    const seconds = (performance.now() - begun) / 1000;
    const rate = `${piece.value} tokens, ${(piece.value / seconds).toFixed(0)} a second`;
    if (process.stderr.isTTY)
      process.stderr.write(`\x1b[2m${rate}${signal.aborted ? ", stopped" : ""}\x1b[0m\n`);
  } catch (error) {
    if (!(error instanceof GsicError) || error.category !== "usage") throw error;
    process.stderr.write(`gsic: ${error.message} [${error.code}]\n  next  ${error.hint}\n`);
  }
}
