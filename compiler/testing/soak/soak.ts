/**
 * A soak: clients of every kind talk to a server for a long time. Each text is compared with the one that is generated
 * alone; memory and descriptors of the server must stay where they are.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { openBuild } from "../../build-folder/open.js";
import { chatTemplateOf } from "../../chat.js";
import { load } from "../../load.js";
import { Alone } from "./alone.js";
import { behaviours, type Counts, randomOf, type Soaked } from "./clients.js";

/** A soak to run. */
export interface SoakOptions {
  /** A build folder, with a chat template. */
  readonly build: string;
  /** gsic's main.js. */
  readonly program: string;
  readonly seconds: number;
  readonly clients: number;
  readonly seed: number;
}

/** What a server took at one moment. */
export interface Sample {
  /** Seconds since the beginning. */
  readonly at: number;
  /** Resident memory, MiB. */
  readonly memory: number;
  readonly descriptors: number;
}

/** What a soak found. */
export interface SoakReport {
  readonly seconds: number;
  readonly counts: Counts;
  /** While nobody asked: when everything had been done once, and at the end. */
  readonly idle: { readonly start: Sample; readonly end: Sample };
  /** Most memory in the first half, and in the second. */
  readonly peaks: readonly [number, number];
  /** Most memory in each tenth of the time. */
  readonly course: readonly number[];
  readonly exitCode: number | null;
  /** Lines of the server's log with status 500, and lines that are no JSON. */
  readonly troubles: readonly string[];
}

/** Runs a soak. Throws where the server does not start, or a client cannot do what it does. */
export async function soak(options: SoakOptions): Promise<SoakReport> {
  const begun = performance.now();
  const server = await start(options);
  const model = await load(openBuild(options.build).bundle, { threads: 1 });
  const template = chatTemplateOf(openBuild(options.build))!;
  const counts: Counts = {
    requests: 0,
    texts: 0,
    cancelled: 0,
    slow: 0,
    refused: 0,
    busy: 0,
    closed: 0,
    wrong: [],
  };
  const soaked: Soaked = {
    url: server.url,
    model: model.info.name,
    alone: new Alone(model, template),
    counts,
  };
  const sample = () => sampleOf(server.child.pid!, (performance.now() - begun) / 1000);
  const samples: Sample[] = [];
  try {
    const warm = randomOf(options.seed);
    for (const behave of behaviours) await behave(soaked, warm);
    const idleStart = await idle(server, sample);
    const timer = setInterval(() => samples.push(sample()), 1000);
    const end = performance.now() + 1000 * options.seconds;
    const client = async (seed: number) => {
      const random = randomOf(seed);
      while (performance.now() < end && counts.wrong.length === 0)
        await behaviours[random(behaviours.length)]!(soaked, random);
    };
    const clients = Array.from({ length: options.clients }, (_, index) => client(options.seed + 1 + index));
    await Promise.all(clients)
      .catch((error: unknown) => {
        const { exitCode, signalCode } = server.child;
        const state = exitCode === null && signalCode === null ? "runs" : `ended (${signalCode ?? exitCode})`;
        throw new Error(`a client failed; the server ${state}: ${server.log()}`, { cause: error });
      })
      .finally(() => clearInterval(timer));
    const idleEnd = await idle(server, sample);
    server.child.kill("SIGTERM");
    await once(server.child, "exit");
    const half = Math.ceil(samples.length / 2);
    const peak = (some: readonly Sample[]) => Math.max(0, ...some.map(({ memory }) => memory));
    return {
      seconds: Math.round((performance.now() - begun) / 1000),
      counts,
      idle: { start: idleStart, end: idleEnd },
      peaks: [peak(samples.slice(0, half)), peak(samples.slice(half))],
      course: Array.from({ length: 10 }, (_, tenth) => {
        const at = (index: number) => Math.floor((index * samples.length) / 10);
        return Math.round(peak(samples.slice(at(tenth), at(tenth + 1))));
      }),
      exitCode: server.child.exitCode,
      troubles: troublesOf(server.log()),
    };
  } finally {
    server.child.kill("SIGKILL");
    await template.close();
    model.dispose();
  }
}

interface Running {
  readonly child: ChildProcess;
  readonly url: string;
  readonly log: () => string;
}

/**
 * Of V8 in the server. It collects what is no longer needed when its heap is full, not before, and so a process that
 * answered more would be larger; one that keeps what it does not need runs out of this heap, and ends.
 */
const heap = ["--max-old-space-size=64", "--max-semi-space-size=2"];

async function start({ build, program }: SoakOptions): Promise<Running> {
  const args = [...heap, program, "serve", build, "--port", "0", "--threads", "1", "--json", "--queue", "64"];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  // Only what is no plain answer is kept: hours of lines would be memory of this process.
  let log = "";
  let rest = "";
  child.stderr!.setEncoding("utf8").on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) if (!/"status":(200|400|429|499|408)\b/.test(line)) log += `${line}\n`;
  });
  const [line] = (await Promise.race([
    once(child.stdout!, "data"),
    once(child, "exit").then(() => {
      throw new Error(`the server did not start: ${log}${rest}`);
    }),
  ])) as [Buffer];
  const { url } = JSON.parse(line.toString()) as { url: string };
  return { child, url, log: () => log };
}

/**
 * Waits until nothing runs, and samples then. Descriptors of connections, which clients keep open, do not count; one
 * that closes just now is counted by the server or by the system alone, so two samples must agree.
 */
async function idle({ url }: Running, sample: () => Sample): Promise<Sample> {
  let before: number | undefined;
  for (let tries = 0; tries < 600; tries++) {
    const text = await (await fetch(`${url}/metrics`)).text();
    const value = (name: string) => Number(new RegExp(`^${name} (\\d+)`, "m").exec(text)?.[1]);
    if (value("gsic_requests_running") === 0 && value("gsic_requests_waiting") === 0) {
      const sampled = sample();
      const descriptors = sampled.descriptors - value("gsic_connections");
      if (descriptors === before) return { ...sampled, descriptors };
      before = descriptors;
    }
    await new Promise((done) => setTimeout(done, 200));
  }
  throw new Error("the server still works on requests although nobody asks any more");
}

function sampleOf(pid: number, at: number): Sample {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const kilobytes = Number(/^VmRSS:\s+(\d+)/m.exec(status)![1]);
  return { at, memory: kilobytes / 1024, descriptors: readdirSync(`/proc/${pid}/fd`).length };
}

function troublesOf(log: string): string[] {
  return log.split("\n").filter((line) => line !== "");
}
