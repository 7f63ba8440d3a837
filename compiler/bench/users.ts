import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Built } from "../build-folder/open.js";
import { type ProgressListener, runTool } from "../cc/tool.js";
import type { Spread } from "../report/measurements.js";
import { temporaryFolder } from "../support/temporary.js";
import { type BenchOptions, promptsOf } from "./modes.js";

/** So many users who write at once, and a newcomer beside them; null where every text ended at once. */
interface Crowd {
  readonly users: number;
  /** Of all users together. */
  readonly tokens_per_second: Spread;
  /** To one user of the same repetition. */
  readonly ratio_to_one: Spread;
  /** Median of a repetition. */
  readonly seconds_between_tokens: Spread | null;
  /** The 99th percentile of these, as a multiple of their median. */
  readonly slowest_to_median: Spread | null;
  /** From the request of a newcomer to the first token. */
  readonly newcomer_seconds: Spread;
  /** To the same where nobody else is there. */
  readonly newcomer_ratio_to_idle: Spread;
}

/** What `gsic-tool users` prints. */
interface UsersMeasured {
  readonly target: string;
  readonly threads: number;
  readonly modes: Readonly<Record<string, readonly Crowd[]>>;
}

/** Measures requests that share passes, with each number of users in turn; prompts are those of `measureModes`. */
export async function measureUsers(
  built: Built,
  users: readonly number[],
  options: BenchOptions,
  progress?: ProgressListener,
): Promise<UsersMeasured> {
  const { tokens, repeat, prompt, threads } = options;
  const settings = ["--users", users.join(","), "--tokens", String(tokens), "--repeat", String(repeat)];
  settings.push("--prompt", String(prompt));
  if (threads !== undefined) settings.push("--threads", String(threads));
  const ids = await promptsOf(built, 16, prompt);
  const folder = await temporaryFolder("users");
  try {
    const file = join(folder, "ids");
    if (ids !== null) {
      await writeFile(file, ids);
      settings.push("--ids-file", file);
    }
    return JSON.parse(await runTool(["users", built.bundle, ...settings], progress)) as UsersMeasured;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The measurements for a terminal. */
export function usersText({ target, threads, modes }: UsersMeasured): string {
  const number = ({ median, least, most }: Spread, digits: number) =>
    `${median.toFixed(digits)} (${least.toFixed(digits)}-${most.toFixed(digits)})`;
  const lines = [
    `requests that share passes, on ${target}, ${threads} threads; medians, and spread over repetitions`,
    "mode      users  tokens/s, all      x one user        99th pct. gap  newcomer's first token, x idle",
  ];
  for (const [mode, crowds] of Object.entries(modes))
    for (const crowd of crowds)
      lines.push(
        [
          mode.padEnd(8),
          String(crowd.users).padStart(5),
          number(crowd.tokens_per_second, 1).padEnd(17),
          number(crowd.ratio_to_one, 2).padEnd(16),
          (crowd.slowest_to_median === null ? "-" : `${crowd.slowest_to_median.median.toFixed(1)} x`).padEnd(
            13,
          ),
          number(crowd.newcomer_ratio_to_idle, 1),
        ].join("  "),
      );
  return lines.join("\n");
}
