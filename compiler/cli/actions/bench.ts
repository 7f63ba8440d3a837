import { besideText, measureBeside } from "../../bench/beside.js";
import { deviceBenches } from "../../bench/devices.js";
import { type BenchOptions, measureModes, measureScaling } from "../../bench/modes.js";
import { benchText, scalingText } from "../../bench/text.js";
import { tune } from "../../bench/tune.js";
import { tuneText } from "../../bench/tune-text.js";
import { measureUsers, usersText } from "../../bench/users.js";
import { type Built, openBuild } from "../../build-folder/open.js";
import { prepareRuntime } from "../../cc/index.js";
import type { Mode } from "../../ir/program.js";
import { terminalProgress } from "../../support/progress.js";
import type { Json } from "../options.js";
import { print, usage } from "../output.js";
import { record } from "../record.js";

/** `gsic bench`: the whole step; with --launches each launch of it; with --tune how projections are best divided. */
export async function bench(
  path: string,
  options: Json & {
    tokens: number;
    repeat: number;
    prompt: number;
    threads?: number;
    scaling?: boolean;
    mode?: Mode;
    launches?: boolean;
    users?: number[];
    beside?: number;
    tune?: string | true;
    candidates?: number[];
  },
): Promise<void> {
  const built = openBuild(path);
  if (options.launches && options.tune !== undefined)
    throw usage(
      "bench-options",
      "--launches and --tune measure different things",
      "give one of them at a time",
    );
  if (options.candidates !== undefined && options.tune === undefined)
    throw usage("bench-options", "--candidates is what --tune tries", "add --tune, or leave it out");
  const others = options.launches || options.scaling || options.tune !== undefined;
  if ((options.users ?? options.beside) !== undefined && others)
    throw usage(
      "bench-options",
      `${options.users === undefined ? "--beside" : "--users"} measures requests that share passes, and nothing else`,
      "leave out --launches, --scaling and --tune, or measure them in a run of their own",
    );
  const { repeat, mode } = options;
  if (mode !== undefined && !options.launches && options.beside === undefined)
    throw usage("bench-options", "gsic bench measures every mode", "leave --mode out, or add --launches");
  const preparation = terminalProgress();
  await prepareRuntime(["tool"], preparation);
  preparation.finish();
  if (options.launches) return benchLaunches(built, options);
  if (options.beside !== undefined) return benchBeside(built, options.beside, options);
  if (options.users !== undefined) return benchUsers(built, options.users, options);
  if (options.tune !== undefined) {
    const progress = terminalProgress();
    const file = options.tune === true ? null : options.tune;
    const measured = await tune(built, { file, splits: options.candidates, repeat, progress });
    progress.finish();
    print(options.json ? JSON.stringify(measured) : tuneText(measured));
    return;
  }
  const { tokens, prompt, threads } = options;
  const { measured, prompts } = await measureModes(built, { tokens, repeat, prompt, threads });
  const scaling =
    options.scaling && deviceBenches[built.report.device].hasThreads
      ? await measureScaling(built, { tokens, repeat, prompt }, measured)
      : null;
  await record(built, { speed: measured });
  print(
    options.json
      ? JSON.stringify({ ...measured, scaling }, null, 2)
      : [benchText(measured, prompts), ...(scaling === null ? [] : [scalingText(scaling)])].join("\n"),
  );
}

/** `gsic bench --users`. */
async function benchUsers(
  built: Built,
  users: readonly number[],
  options: Json & BenchOptions,
): Promise<void> {
  const progress = terminalProgress();
  const measured = await measureUsers(built, users, options, progress.stage("Measuring users"));
  progress.finish();
  print(options.json ? JSON.stringify(measured, null, 2) : usersText(measured));
}

/** `gsic bench --beside`, with each number of `--users`. */
async function benchBeside(
  built: Built,
  beside: number,
  { users = [1], json, ...options }: Json & BenchOptions & { users?: readonly number[]; mode?: Mode },
): Promise<void> {
  const progress = terminalProgress();
  const measured = [];
  for (const number of users) {
    const stage = progress.stage(`Measuring ${number} beside others`);
    measured.push(await measureBeside(built, beside, { ...options, users: number }, stage));
  }
  progress.finish();
  print(json ? JSON.stringify(measured, null, 2) : measured.map(besideText).join("\n\n"));
}

/** `gsic bench --launches`: on a CPU in the step, in all modes; on a GPU alone, in one. */
async function benchLaunches(built: Built, options: Json & BenchOptions & { mode?: Mode }): Promise<void> {
  const progress = terminalProgress();
  const bench = deviceBenches[built.report.device];
  const { json, text, times } = await bench.launches(
    built,
    options,
    progress.stage("Measuring every launch"),
  );
  progress.finish();
  await record(built, { launch_times: times });
  print(options.json ? JSON.stringify(json) : text);
}
