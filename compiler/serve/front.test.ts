/** What every request meets, over TCP, without a model behind it. */

import { request as httpRequest } from "node:http";
import { connect, type Socket } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { Admission } from "./admission.js";
import { Front, type Guards, localGuards } from "./front.js";
import { Metrics } from "./metrics.js";

const key = "0123456789abcdef0123";

/** A server that repeats bodies; its port. */
async function listen(guards: Partial<Guards> = {}, maxBody = 1 << 20) {
  const metrics = new Metrics(new Admission({ concurrency: 1, queue: 1 }));
  const front = new Front(maxBody, { ...localGuards, ...guards }, metrics);
  front.app.post("/repeat", ({ body }) => ({ body }));
  front.app.get("/open", { config: { open: true } }, () => ({}));
  front.app.get("/wrong", () => {
    throw new Error("a secret of the server's");
  });
  await front.app.listen({ host: "127.0.0.1", port: 0 });
  onTestFinished(() => front.stop(0, new AbortController().signal, () => {}));
  const { port } = front.app.server.address() as { port: number };
  return { front, port };
}

interface Asked {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** Asks; the status, and the error if there is one. */
function ask(port: number, { method = "POST", path = "/repeat", headers = {}, body = "{}" }: Asked = {}) {
  return new Promise<{ status: number; body: string; code: unknown; type: unknown }>((resolve, reject) => {
    const type = method === "POST" ? { "content-type": "application/json" } : {};
    const request = httpRequest(
      { host: "127.0.0.1", port, method, path, headers: { ...type, ...headers }, agent: false },
      (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (part: string) => {
          text += part;
        });
        response.on("end", () => {
          const { error } = JSON.parse(text) as { error?: Record<string, unknown> };
          resolve({ status: response.statusCode!, body: text, code: error?.code, type: error?.type });
        });
      },
    );
    request.on("error", reject);
    request.end(method === "POST" ? body : undefined);
  });
}

/** A connection on which something was sent; `all` is what comes until the server closes it. */
function raw(port: number, text: string): { socket: Socket; all: Promise<string> } {
  const socket = connect(port, "127.0.0.1");
  onTestFinished(() => {
    socket.destroy();
  });
  let received = "";
  socket.setEncoding("utf8").on("data", (part: string) => {
    received += part;
  });
  const all = new Promise<string>((resolve) => {
    socket.on("error", () => {});
    socket.on("close", () => resolve(received));
  });
  socket.write(text);
  return { socket, all };
}

const head = "POST /repeat HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";

/** The error of an answer that was read from a socket. */
function errorOf(answer: string) {
  const { error } = JSON.parse(answer.slice(answer.indexOf("\r\n\r\n") + 4)) as { error: object };
  return { status: Number(answer.slice(9, 12)), ...error };
}

test("a page whose name was rebound to this machine is refused; this machine's names are not", async () => {
  const { port } = await listen();
  for (const host of [
    "evil.example",
    `evil.example:${port}`,
    "127.0.0.1.evil.example",
    "localhost.evil",
    "8.8.8.8",
    "a@localhost",
  ])
    expect(await ask(port, { headers: { host } }), host).toMatchObject({
      status: 403,
      code: "host_not_allowed",
      type: "invalid_request_error",
    });
  for (const host of [
    `127.0.0.1:${port}`,
    "127.8.9.1",
    "localhost",
    "LOCALHOST:80",
    "localhost.",
    "[::1]:80",
  ])
    expect(await ask(port, { headers: { host } }), host).toMatchObject({ status: 200 });
  const named = await listen({ access: { key: null, hosts: ["llm.example"], checkHost: true } });
  expect(await ask(named.port, { headers: { host: "LLM.example:443" } })).toMatchObject({ status: 200 });
  expect(await ask(named.port, { headers: { host: "b.llm.example" } })).toMatchObject({ status: 403 });
});

test("pages of another origin are refused, whatever Host they give", async () => {
  const { port } = await listen();
  const own = `localhost:${port}`;
  const refused = [
    "http://evil.example",
    "null",
    "https://localhost.evil.example",
    `http://localhost:${port + 1}`,
    "file://",
    "",
  ];
  for (const origin of refused)
    expect(await ask(port, { headers: { host: own, origin } }), origin).toMatchObject({
      status: 403,
      code: "origin_not_allowed",
    });
  expect(await ask(port, { headers: { host: own, origin: `http://${own}` } })).toMatchObject({ status: 200 });
  const proxied = await listen({ access: { key: null, hosts: ["llm.example"], checkHost: true } });
  const headers = { host: "127.0.0.1:80", origin: "https://llm.example" };
  expect(await ask(proxied.port, { headers })).toMatchObject({ status: 200 });
});

test("without its key a server answers nothing but what is open, and reads no body", async () => {
  const { port } = await listen({ access: { key, hosts: [], checkHost: true } });
  const bearer = (given: string) => ({ headers: { authorization: given } });
  for (const given of ["", "Bearer", `Bearer ${key}x`, `Bearer ${key.slice(1)}`, `Basic ${key}`, key])
    expect(await ask(port, bearer(given)), given).toMatchObject({ status: 401, code: "invalid_api_key" });
  expect(await ask(port, { path: "/nowhere" })).toMatchObject({ status: 401 });
  expect(await ask(port, bearer(`Bearer ${key}`))).toMatchObject({ status: 200 });
  expect(await ask(port, bearer(`bearer  ${key}`))).toMatchObject({ status: 200 });
  expect(await ask(port, { method: "GET", path: "/open" })).toMatchObject({ status: 200 });

  const { socket } = raw(port, `${head}content-length: 1000\r\n\r\n`);
  const answer = await new Promise<string>((resolve) => socket.once("data", resolve));
  expect(answer).toMatch(/^HTTP\/1\.1 401 /);
  expect(answer.toLowerCase()).toContain("www-authenticate: bearer");
  expect(answer).not.toContain(key);
});

test("a request that does not arrive is given up: its headers, or its body", async () => {
  const { port } = await listen({ connections: { connections: 9, headers: 1, receive: 2 } });
  const headers = raw(port, "POST /repeat HTTP/1.1\r\nhost: loc");
  const body = raw(port, `${head}content-length: 1000\r\n\r\n{`);
  const silent = raw(port, "");
  for (const { all } of [headers, body])
    expect(errorOf(await all)).toMatchObject({
      status: 408,
      code: "request_timeout",
      type: "invalid_request_error",
    });
  await silent.all;
  expect(await ask(port)).toMatchObject({ status: 200 });
});

test("more connections than the limit are closed; the others are answered", async () => {
  const { port, front } = await listen({ connections: { connections: 2, headers: 60, receive: 60 } });
  const begun = `${head}content-length: 2\r\n\r\n{`;
  const held = [raw(port, begun), raw(port, begun)];
  await expect
    .poll(() => new Promise((count) => front.app.server.getConnections((_, n) => count(n))))
    .toBe(2);
  expect(await raw(port, `${head}content-length: 2\r\n\r\n{}`).all).toBe("");
  for (const { socket } of held) {
    socket.write("}");
    expect(await new Promise((resolve) => socket.once("data", resolve))).toMatch(/^HTTP\/1\.1 200 /);
  }
});

test("told to stop, it ends although requests never arrive and answers are never taken", async () => {
  const { port, front } = await listen({ connections: { connections: 9, headers: 600, receive: 600 } });
  const open = ["", "POST /repeat HTTP/1.1\r\nhost: loc", `${head}content-length: 9\r\n\r\n{`].map((text) =>
    raw(port, text),
  );
  await expect
    .poll(() => new Promise((count) => front.app.server.getConnections((_, n) => count(n))))
    .toBe(3);
  const twice = new AbortController();
  let ended = 0;
  const stopped = front.stop(600, twice.signal, () => ended++);
  twice.abort();
  await stopped;
  expect(ended).toBe(1);
  for (const { all } of open) await all;
});

test("a body that is nested too deeply is the client's error, however it is read", async () => {
  const { port } = await listen();
  const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth);
  for (const body of [nested(101), nested(200_000), `{"a":${nested(100)}}`, "[".repeat(1000)])
    expect(await ask(port, { body })).toMatchObject({ status: 400, code: "too_deep" });
  const quoted = JSON.stringify({ a: `\\"${"[".repeat(1000)}` });
  for (const body of [nested(100), quoted]) expect(await ask(port, { body })).toMatchObject({ status: 200 });
  for (const body of ["", "{", "]".repeat(1000), '{"__proto__": 1}'])
    expect(await ask(port, { body }), body).toMatchObject({ status: 400, type: "invalid_request_error" });
});

test("every error has OpenAI's form, and says nothing of the server's inside", async () => {
  const { port } = await listen({}, 1 << 10);
  const long = await ask(port, { path: `/${"a".repeat(5000)}` });
  expect(long).toMatchObject({ status: 404, code: "unknown_url" });
  expect(long.body.length).toBeLessThan(500);
  expect(await ask(port, { path: "/%zz" })).toMatchObject({ status: 400, type: "invalid_request_error" });
  expect(await ask(port, { body: "x".repeat(2000) })).toMatchObject({
    status: 413,
    type: "invalid_request_error",
  });
  expect(await ask(port, { headers: { "content-type": "text/plain" } })).toMatchObject({ status: 415 });
  const wrong = await ask(port, { method: "GET", path: "/wrong" });
  expect(wrong).toMatchObject({ status: 500, code: "internal_error", type: "server_error" });
  expect(wrong.body).not.toContain("secret");

  expect(errorOf(await raw(port, "what is this\r\n\r\n").all)).toMatchObject({
    status: 400,
    code: "malformed_request",
  });
  const large = `GET / HTTP/1.1\r\nhost: localhost\r\na: ${"b".repeat(20_000)}\r\n\r\n`;
  expect(errorOf(await raw(port, large).all)).toMatchObject({ status: 431, code: "headers_too_large" });
});
