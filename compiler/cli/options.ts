import { type Command, InvalidArgumentError, Option } from "commander";
import { modes } from "../config/config.js";
import type { Mode } from "../ir/program.js";
import { didYouMean } from "../support/suggest.js";

/** What every command knows that prints one JSON document when it is asked to. */
export interface Json {
  readonly json?: boolean;
}

/** What a command does, in a module of its own that is loaded when the command runs: the others begin without it. */
export function loaded<Given extends unknown[]>(
  load: () => Promise<(...given: Given) => void | Promise<void>>,
): (...given: Given) => Promise<void> {
  return async (...given) => (await load())(...given);
}

/** `--json`. */
export function jsonOption(): Option {
  return new Option("--json", "print one JSON document on stdout and nothing else");
}

/** `--mode`. */
export function modeOption(): Option {
  return choice("--mode <mode>", "how linears are computed", modes);
}

/** What `samplingOptions` leave: how a text is generated. */
export interface Sampling {
  readonly mode?: Mode;
  readonly temperature: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly seed?: number;
  readonly threads?: number;
}

/** Adds the options of every command that generates text in the terminal. */
export function samplingOptions(command: Command): Command {
  return command
    .addOption(modeOption())
    .option("--temperature <t>", "0 takes the likeliest token", amount(1e6), 0)
    .option("--top-k <k>", "sample among the k likeliest tokens", countTo(1 << 24))
    .option("--top-p <p>", "sample among the likeliest tokens that together have this probability", amount(1))
    .option("--seed <s>", "seed of the sampler", count)
    .option("--threads <n>", "threads (default: the cores this process may use)", threads);
}

/** Ids are 32-bit integers. */
const maxId = 2 ** 31 - 1;

/** An option that takes one of some words. */
export function choice(flags: string, description: string, words: readonly string[]): Option {
  return new Option(flags, description).choices(words).argParser((word) => {
    if (words.includes(word)) return word;
    throw new InvalidArgumentError(`${didYouMean(word, words)}Allowed choices are ${words.join(", ")}.`);
  });
}

/** Words separated by commas. */
export function list(text: string): string[] {
  return text.split(",").filter((part) => part !== "");
}

/** An integer from 0 on. */
export function count(text: string): number {
  if (!/^\d{1,15}$/.test(text))
    throw new InvalidArgumentError(/^\d+$/.test(text) ? "more than 10^15" : "not a non-negative integer");
  return Number(text);
}

/** An integer from 1 on. */
export function positive(text: string): number {
  const value = count(text);
  if (value === 0) throw new InvalidArgumentError("not a positive integer");
  return value;
}

/** Timers of Node end at 2^31 milliseconds: one that is longer would end at once. */
const maxSeconds = Math.floor((2 ** 31 - 1) / 1000);

/** Whole seconds from 1 on, as many as a timer takes. */
export function seconds(text: string): number {
  const value = positive(text);
  if (value > maxSeconds) throw new InvalidArgumentError(`give ${maxSeconds} seconds at most, 24 days`);
  return value;
}

/** The same from 0 on. */
export function secondsOrNone(text: string): number {
  return count(text) === 0 ? 0 : seconds(text);
}

/** A TCP port. */
export function port(text: string): number {
  const value = count(text);
  if (value > 65535) throw new InvalidArgumentError("ports end at 65535");
  return value;
}

/** An integer from 0 to `most`. */
function countTo(most: number): (text: string) => number {
  return (text) => {
    const value = count(text);
    if (value > most) throw new InvalidArgumentError(`more than ${most}`);
    return value;
  };
}

/** Threads, as many as the runtime starts. */
export const threads = countTo(1024);

/** A number from 0 to `most`. */
function amount(most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== "" && value >= 0 && value <= most) return value;
    throw new InvalidArgumentError(`not a number from 0 to ${most}`);
  };
}

/** Positive integers separated by commas. */
export function positives(text: string): number[] {
  return text.split(",").map((part) => positive(part.trim()));
}

/** Numbers of waves that may share a tile, separated by commas. */
export function splits(text: string): number[] {
  return text.split(",").map((part) => {
    if (["1", "2", "4", "8", "16"].includes(part.trim())) return Number(part);
    throw new InvalidArgumentError("give some of 1,2,4,8,16");
  });
}

/** Token ids separated by commas. */
export function ids(text: string): number[] {
  return text.split(",").map((part, index) => {
    const id = part.trim();
    if (/^\d{1,10}$/.test(id) && Number(id) <= maxId) return Number(id);
    const what = id === "" ? "is missing" : `is ${JSON.stringify(id)}, not an integer from 0 to ${maxId}`;
    throw new InvalidArgumentError(`id ${index + 1} ${what}; give ids like 1,2,3`);
  });
}
