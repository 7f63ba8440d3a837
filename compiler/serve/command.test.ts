/** `gsic serve` as people use it: a process that is told to stop. */

import { once } from "node:events";
import { createServer, type Server } from "node:net";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { CommandLine, type Outcome } from "../testing/cli.js";
import { buildTiny, type TinyBuild } from "../testing/tiny.js";
import type { ServeAddress } from "./command.js";

let gsic: CommandLine;
let built: TinyBuild;

beforeAll(async () => {
  gsic = new CommandLine();
  built = await buildTiny();
});

afterAll(() => {
  gsic?.close();
  built?.remove();
});

interface Serving {
  readonly address: ServeAddress;
  readonly outcome: Promise<Outcome>;
  kill(signal: NodeJS.Signals): void;
}

/** Starts a server and waits until it listens. */
async function serve(...options: string[]): Promise<Serving> {
  const args = ["serve", built.folder, "--port", "0", "--threads", "1", "--json", ...options];
  const { child, outcome } = gsic.start(args);
  onTestFinished(() => {
    child.kill("SIGKILL");
  });
  const [line] = (await once(child.stdout!, "data")) as [string];
  const kill = (signal: NodeJS.Signals) => void child.kill(signal);
  return { address: JSON.parse(line) as ServeAddress, outcome, kill };
}

/** Starts a stream of many texts; returns its reader once the first bytes have come. */
async function stream(url: string, prompts: number) {
  const prompt = Array(prompts).fill("Once upon a time");
  const body = JSON.stringify({ model: "tiny-gpt2", prompt, max_tokens: 100, temperature: 0, stream: true });
  const headers = { "content-type": "application/json" };
  const response = await fetch(`${url}/v1/completions`, { method: "POST", headers, body });
  expect(response.status).toBe(200);
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  const first = await reader.read();
  return async () => {
    let text = first.value ?? "";
    for (let part = await reader.read(); !part.done; part = await reader.read()) text += part.value;
    return text;
  };
}

test("told to stop, it takes no more requests, lets what runs end, and exits with 0", async () => {
  const { address, outcome, kill } = await serve();
  expect(address).toMatchObject({ model: "tiny-gpt2", mode: "exact", chat: false });
  expect(address.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
  const rest = await stream(address.url, 4);
  kill("SIGTERM");
  const text = await rest();
  expect(text.match(/"finish_reason":"length"/g)).toHaveLength(4);
  expect(text.endsWith("data: [DONE]\n\n")).toBe(true);
  expect(await outcome).toMatchObject({ code: 0, stderr: "" });
  await expect(fetch(`${address.url}/health`)).rejects.toThrow();
});

test("told twice, it ends what runs, and says so to the clients", async () => {
  const { address, outcome, kill } = await serve();
  const rest = await stream(address.url, 100);
  kill("SIGINT");
  kill("SIGTERM");
  const text = await rest();
  expect(text).toContain('"code":"stopping"');
  expect(await outcome).toMatchObject({ code: 0, stderr: "" });
});

test("when the grace is over, it ends what runs", async () => {
  const { address, outcome, kill } = await serve("--grace", "0");
  const rest = await stream(address.url, 100);
  kill("SIGTERM");
  expect(await rest()).toContain('"code":"stopping"');
  expect(await outcome).toMatchObject({ code: 0 });
});

test("a port that is taken, and what is no build, are refused", async () => {
  const taken: Server = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  onTestFinished(() => {
    taken.close();
  });
  const { port } = taken.address() as { port: number };
  const busy = await gsic.run(["serve", built.folder, "--port", String(port)]);
  expect(busy).toMatchObject({ code: 4, stdout: "" });
  expect(busy.stderr).toContain("[address-unavailable]");
  expect(busy.stderr).toContain("--port");
  const none = await gsic.run(["serve", "nowhere"]);
  expect(none).toMatchObject({ code: 2, stdout: "" });
  expect(none.stderr).toContain("[build-missing]");
});
