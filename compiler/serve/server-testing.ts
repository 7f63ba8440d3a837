/** Servers for tests: on a port of their own, stopped when the test is done. */

import OpenAI from "openai";
import { onTestFinished } from "vitest";
import type { ChatTemplate } from "../chat.js";
import type { Model } from "../load.js";
import { ModelServer, type ServeLimits } from "./server.js";

/** Wide enough for tests of other things. */
const wideLimits: ServeLimits = {
  concurrency: 2,
  queue: 8,
  maxTokens: 256,
  maxTotal: 1 << 16,
  time: 600,
  maxBody: 1 << 18,
  stall: 30,
};

/** What a test server has besides its model. */
interface ListenOptions {
  readonly chat?: ChatTemplate | null;
  readonly mode?: string;
  readonly limits?: ServeLimits;
  /** When it is closed; default: at the end of the test. */
  readonly closeWith?: (close: () => Promise<void>) => void;
}

/** Starts a server; returns its address. */
export async function listen(
  model: Model,
  { chat = null, mode, limits = wideLimits, closeWith = onTestFinished }: ListenOptions = {},
): Promise<string> {
  const batch = await model.batch({ mode });
  const server = new ModelServer(
    { model, batch, mode: mode ?? model.info.modes[0]!, chat, fingerprint: "gsic-test", created: 1 },
    limits,
  );
  closeWith(async () => {
    await server.stop(0, new AbortController().signal);
    await chat?.close();
    batch.dispose();
  });
  return server.app.listen({ host: "127.0.0.1", port: 0 });
}

/** OpenAI's client of a server. */
export function clientOf(url: string): OpenAI {
  return new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
}

/** Sends JSON; returns the status and what came back. */
export async function post(url: string, path: string, body: object) {
  const response = await fetch(`${url}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}
