/** What clients do to a server in a soak. Each function is one thing that one client does, from its beginning to its end. */

import { connect } from "node:net";
import type { Alone } from "./alone.js";

/** A server that is soaked, and what is counted. */
export interface Soaked {
  readonly url: string;
  readonly model: string;
  readonly alone: Alone;
  readonly counts: Counts;
}

/** What was done. */
export interface Counts {
  requests: number;
  /** Texts that were compared with those generated alone, to their end. */
  texts: number;
  /** Streams that were left, whose texts so far were compared. */
  cancelled: number;
  slow: number;
  refused: number;
  /** 429: the client came back. */
  busy: number;
  /** Kept connections that the server closed just when they were used again; another one was opened. */
  closed: number;
  /** Texts that were not the same. */
  wrong: string[];
}

/** Numbers from 0 to before `below`, the same for the same seed. */
export type Random = (below: number) => number;

/** Mulberry32, by Tommy Ettinger. */
export function randomOf(seed: number): Random {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296) * below);
  };
}

const openings = ["Once upon a time", "The fox", "A girl named Lily", "One day", "There was a dog who"];

/** A request whose text is known: not so many that each would be generated anew. */
function sampled(random: Random) {
  const prompt = openings[random(openings.length)]!;
  const seed = random(4);
  const temperature = random(3) === 0 ? 0 : 0.9;
  return { prompt, seed, temperature, max_tokens: 8 + 24 * random(6) };
}

async function post(soaked: Soaked, path: string, body: object): Promise<Response> {
  for (let failed = 0; ; ) {
    soaked.counts.requests++;
    const request = {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: soaked.model, ...body }),
    };
    const response = await fetch(`${soaked.url}${path}`, request).catch((error: unknown) => {
      if (!wasClosed(error) || ++failed > 1) throw error;
      soaked.counts.closed++;
    });
    if (response === undefined) continue;
    if (response.status !== 429) return response;
    soaked.counts.busy++;
    await response.arrayBuffer();
    await new Promise((done) => setTimeout(done, 200));
  }
}

/** Whether a connection ended before an answer began, as one may that nobody used for some seconds. */
function wasClosed(error: unknown): boolean {
  const { cause } = error as { cause?: { code?: string } };
  return cause?.code === "UND_ERR_SOCKET" || cause?.code === "ECONNRESET";
}

function compare({ counts }: Soaked, what: string, found: string, expected: string): void {
  if (found !== expected)
    counts.wrong.push(`${what}: ${JSON.stringify(found)} is not ${JSON.stringify(expected)}`);
}

/** A whole answer, of two choices. */
export async function askWhole(soaked: Soaked, random: Random): Promise<void> {
  const request = sampled(random);
  const response = await post(soaked, "/v1/completions", { ...request, n: 2 });
  const { choices } = (await response.json()) as { choices: { text: string }[] };
  for (const [nth, { text }] of choices.entries()) {
    const expected = await soaked.alone.completion({ ...request, seed: request.seed + nth });
    compare(soaked, "whole", text, expected);
    soaked.counts.texts++;
  }
}

/** A stream that is read to its end, or left after some events. */
export async function readStream(soaked: Soaked, random: Random): Promise<void> {
  const request = sampled(random);
  const leave = random(2) === 0 ? random(12) : Number.POSITIVE_INFINITY;
  const response = await post(soaked, "/v1/completions", { ...request, stream: true });
  const expected = await soaked.alone.completion(request);
  let text = "";
  let ended = false;
  let seen = 0;
  // Leaving the loop cancels the stream, which closes the connection. An abort signal would not do: on Node 20 whoever
  // reads on after aborting a body that has already arrived waits for ever.
  for await (const data of eventsOf(response)) {
    if (data === "[DONE]") ended = true;
    else text += (JSON.parse(data) as { choices: { text: string }[] }).choices[0]?.text ?? "";
    if (++seen > leave) break;
  }
  if (ended) {
    compare(soaked, "stream", text, expected);
    soaked.counts.texts++;
  } else {
    compare(soaked, "stream so far", text, expected.slice(0, text.length));
    soaked.counts.cancelled++;
  }
}

async function* eventsOf(response: Response): AsyncGenerator<string> {
  let rest = "";
  for await (const part of response.body!.pipeThrough(new TextDecoderStream())) {
    const events = (rest + part).split("\n\n");
    rest = events.pop()!;
    for (const event of events) yield event.replace(/^data: /, "");
  }
}

/** A conversation that grows until the context is full. */
export async function converse(soaked: Soaked, random: Random): Promise<void> {
  const seed = random(4);
  const messages: { role: string; content: string }[] = [];
  for (let turn = 0; turn < 20; turn++) {
    messages.push({ role: "user", content: openings[(seed + turn) % openings.length]! });
    const request = { messages: [...messages], seed, temperature: 0.9, max_tokens: 24 };
    const response = await post(soaked, "/v1/chat/completions", request);
    const answer = (await response.json()) as {
      choices?: { message: { content: string } }[];
      error?: { code: string };
    };
    if (answer.choices === undefined) {
      if (answer.error?.code !== "context_length_exceeded") soaked.counts.wrong.push(JSON.stringify(answer));
      soaked.counts.refused++;
      return;
    }
    const { content } = answer.choices[0]!.message;
    compare(soaked, `turn ${turn}`, content, await soaked.alone.chat(request));
    soaked.counts.texts++;
    messages.push({ role: "assistant", content });
  }
}

/** A stream that is read in small pieces, with pauses. */
export async function readSlowly(soaked: Soaked, random: Random): Promise<void> {
  const request = sampled(random);
  const body = JSON.stringify({ model: soaked.model, ...request, stream: true });
  const { hostname, port } = new URL(soaked.url);
  const socket = connect(Number(port), hostname);
  socket.setEncoding("utf8");
  soaked.counts.requests++;
  const head = `POST /v1/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n`;
  socket.write(`${head}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  let all = "";
  for await (const part of socket) {
    all += part as string;
    await new Promise((done) => setTimeout(done, 20));
  }
  if (all.startsWith("HTTP/1.1 429")) {
    soaked.counts.busy++;
    return;
  }
  const events = [...all.matchAll(/data: (\{.*\})/g)].map(([, data]) => data!);
  const text = events.map((data) => (JSON.parse(data) as { choices: { text: string }[] }).choices[0]!.text);
  compare(soaked, "slowly", text.join(""), await soaked.alone.completion(request));
  soaked.counts.texts++;
  soaked.counts.slow++;
}

/** What is refused, and connections on which nothing comes. */
export async function misbehave(soaked: Soaked, random: Random): Promise<void> {
  const bodies = [
    { prompt: 3 },
    { prompt: "a", temperature: 9 },
    { prompt: "a", nonsense: 1 },
    { prompt: "a ".repeat(400) },
  ];
  const response = await post(soaked, "/v1/completions", bodies[random(bodies.length)]!);
  await response.arrayBuffer();
  if (response.status !== 400) soaked.counts.wrong.push(`a bad request got status ${response.status}`);
  soaked.counts.refused++;
  const { hostname, port } = new URL(soaked.url);
  const socket = connect(Number(port), hostname);
  socket.on("error", () => {});
  socket.write("POST /v1/completions HTTP/1.1\r\nhost: loc");
  await new Promise((done) => setTimeout(done, 50));
  socket.destroy();
}

/** All that clients do. */
export const behaviours = [askWhole, readStream, readStream, converse, readSlowly, misbehave] as const;
