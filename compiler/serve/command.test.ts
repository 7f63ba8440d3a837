/** `gsic serve` as people use it: a process that is told to stop. */

import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync, statSync, truncateSync } from "node:fs";
import { connect, createServer, type Server } from "node:net";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { CommandLine, type Outcome, start } from "../testing/cli.js";
import { buildTiny, type TinyBuild } from "../testing/tiny.js";
import type { ServeAddress } from "./command.js";

let gsic: CommandLine;
let built: TinyBuild;

beforeAll(async () => {
  gsic = new CommandLine();
  built = await buildTiny();
});

afterAll(() => {
  built?.remove();
});

interface Serving {
  readonly address: ServeAddress;
  readonly outcome: Promise<Outcome>;
  kill(signal: NodeJS.Signals): void;
}

/** Starts a server and waits until it listens. */
async function serve(...options: string[]): Promise<Serving> {
  return serveWith({}, "--log", "errors", ...options);
}

/** The same, with variables of the environment. */
async function serveWith(env: Readonly<Record<string, string>>, ...options: string[]): Promise<Serving> {
  const args = ["serve", built.folder, "--port", "0", "--threads", "1", "--json", ...options];
  const { child, outcome } = gsic.start(args, { env });
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

test("what it kept in --cache-file serves the next one, bit for bit; one that is cut is refused", async () => {
  const folder = mkdtempSync(join(tmpdir(), "gsic-kept-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "cache");
  const prompt = "Once upon a time there was a little girl who lived in a house by the sea with a big dog";
  const text = async ({ url }: ServeAddress) => {
    const body = JSON.stringify({ model: "tiny-gpt2", prompt, max_tokens: 30, seed: 7, logprobs: 1 });
    const headers = { "content-type": "application/json" };
    const response = await fetch(`${url}/v1/completions`, { method: "POST", headers, body });
    return ((await response.json()) as { choices: object[] }).choices;
  };
  const ended = async ({ kill, outcome }: Serving) => {
    kill("SIGTERM");
    expect(await outcome).toMatchObject({ code: 0, stderr: "" });
  };
  const first = await serve("--cache-file", file);
  expect(first.address.cached).toBe(0);
  const expected = await text(first.address);
  await ended(first);
  expect(readdirSync(folder)).toEqual(["cache"]);
  expect(statSync(file).mode & 0o777).toBe(0o600);

  const second = await serve("--cache-file", file);
  expect(second.address.cached).toBeGreaterThan(30);
  expect(await text(second.address)).toEqual(expected);
  const metrics = await (await fetch(`${second.address.url}/metrics`)).text();
  expect(Number(/^gsic_batch_shared_tokens_total (\d+)/m.exec(metrics)?.[1])).toBeGreaterThan(10);
  await ended(second);

  truncateSync(file, statSync(file).size - 1);
  const cut = await gsic.run(["serve", built.folder, "--port", "0", "--cache-file", file]);
  expect(cut).toMatchObject({ code: 3, stdout: "" });
  expect(cut.stderr).toContain("[cache-refused]");
  const unnamed = await gsic.run(["serve", built.folder, "--port", "0", "--cache-file", ""]);
  expect(unnamed).toMatchObject({ code: 3, stdout: "" });
  const nowhere = join(folder, "none", "cache");
  const unwritable = await gsic.run(["serve", built.folder, "--port", "0", "--cache-file", nowhere]);
  expect(unwritable).toMatchObject({ code: 4, stdout: "" });
  expect(unwritable.stderr).toContain("[cache-unwritable]");
});

/** Connections that never finish what they began, and one that never begins. */
async function halfOpen(url: string): Promise<void> {
  const { hostname, port } = new URL(url);
  const head = "POST /v1/completions HTTP/1.1\r\nhost: localhost\r\n";
  const body = `${head}content-type: application/json\r\ncontent-length: 100\r\n\r\n{`;
  for (const text of ["", head, body]) {
    const socket = connect(Number(port), hostname);
    onTestFinished(() => {
      socket.destroy();
    });
    socket.on("error", () => {});
    await once(socket, "connect");
    socket.write(text);
  }
  // What was sent before has arrived when a later connection is answered.
  await fetch(`${url}/health`);
}

test("requests that never arrive do not keep it: neither after the grace, nor after a second signal", async () => {
  const patient = await serve("--grace", "1", "--receive", "600");
  await halfOpen(patient.address.url);
  patient.kill("SIGTERM");
  expect(await patient.outcome).toMatchObject({ code: 0, stderr: "" });

  const twice = await serve("--grace", "600", "--receive", "600");
  await halfOpen(twice.address.url);
  twice.kill("SIGTERM");
  twice.kill("SIGINT");
  expect(await twice.outcome).toMatchObject({ code: 0, stderr: "" });
});

test("beyond this machine it is open only with a key, or where that is said; it prints where it is reached", async () => {
  const start = (...options: string[]) => gsic.run(["serve", built.folder, "--port", "0", ...options]);
  for (const [options, code] of [
    [["--host", ""], "host-empty"],
    [["--host", "0.0.0.0"], "key-missing"],
    [["--api-key", "short"], "api-key-invalid"],
  ] as const) {
    const refused = await start(...options);
    expect(refused).toMatchObject({ code: 2, stdout: "" });
    expect(refused.stderr).toContain(`[${code}]`);
  }
  const key = "0123456789abcdef";
  const { address } = await serveWith({ GSIC_API_KEY: key }, "--host", "0.0.0.0", "--log", "errors");
  const ipv4 = Object.values(networkInterfaces()).flatMap((all) => all ?? []);
  const hosts = ipv4.filter(({ family }) => family === "IPv4").map((one) => one.address);
  expect(address.urls.map((url) => new URL(url).hostname).sort()).toEqual(hosts.sort());
  expect(address.key).toBe(true);
  for (const url of address.urls) {
    expect((await fetch(`${url}/v1/models`)).status).toBe(401);
    const headers = { authorization: `Bearer ${key}` };
    expect((await fetch(`${url}/v1/models`, { headers })).status).toBe(200);
  }
  const open = await serve("--host", "0.0.0.0", "--allow-anyone");
  expect(open.address.key).toBe(false);
  expect((await fetch(`${open.address.url}/v1/models`)).status).toBe(200);
});

test("each request gets one line on standard error, without its text", async () => {
  const { address, outcome, kill } = await serveWith({});
  const post = (body: object) =>
    fetch(`${address.url}/v1/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
  const good = await post({ model: "tiny-gpt2", prompt: "Once upon a time", max_tokens: 5, temperature: 0 });
  const { choices } = (await good.json()) as { choices: { text: string }[] };
  await (await post({ model: "tiny-gpt2", prompt: "Once", temperature: 9 })).text();
  kill("SIGTERM");
  const { stderr } = await outcome;
  const lines = stderr
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as object);
  expect(lines).toEqual([
    {
      time: expect.any(String),
      request: good.headers.get("x-request-id"),
      method: "POST",
      route: "/v1/completions",
      status: 200,
      ms: expect.any(Number),
      prompt_tokens: 4,
      generated_tokens: 5,
    },
    expect.objectContaining({ route: "/v1/completions", status: 400, error: "invalid_value" }),
  ]);
  for (const text of ["Once upon", choices[0]!.text, "stack"]) expect(stderr).not.toContain(text);
});

test("where nobody can read at which address it listens, it does not", async () => {
  const command = `${gsic.command} serve ${built.folder} --port 0 --threads 1`;
  // Of the pipe, the reader is gone before anything is written.
  for (const script of [`${command} > /dev/full`, `${command} | true; exit \${PIPESTATUS[0]}`]) {
    const ended = await start("bash", ["-c", script]).outcome;
    expect(ended, script).toMatchObject({ code: 4 });
    expect(ended.stderr).toContain("[output-unwritable]");
  }
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
  const small = await gsic.run(["serve", built.folder, "--port", "0", "--cache", "1"]);
  expect(small).toMatchObject({ code: 2, stdout: "" });
  expect(small.stderr).toContain("[invalid-argument]");
  const long = await gsic.run(["serve", built.folder, "--time", "2147484"]);
  expect(long).toMatchObject({ code: 2, stdout: "" });
  expect(long.stderr).toContain("2147483 seconds at most");
  const none = await gsic.run(["serve", "nowhere"]);
  expect(none).toMatchObject({ code: 2, stdout: "" });
  expect(none.stderr).toContain("[build-missing]");
});
