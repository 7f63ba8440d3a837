/** One line of JSON a request, for who operates the server. */

import type { FastifyReply, FastifyRequest } from "fastify";
import { messageOf } from "../support/errors.js";
import { apiErrorOf } from "./errors.js";

/** What is counted while a request is answered. */
interface RequestFacts {
  readonly prompt_tokens?: number;
  readonly generated_tokens?: number;
}

/** Which requests get a line: all, or those that the server failed. */
export type LogLevel = "requests" | "errors";

/**
 * Collects what is known of requests, and writes a line to standard error when each has ended. Texts, keys and addresses are not among
 * it; a stack only where the server is at fault.
 */
export class RequestLog {
  readonly #level: LogLevel;
  readonly #facts = new WeakMap<FastifyRequest, RequestFacts>();
  readonly #errors = new WeakMap<FastifyRequest, unknown>();

  constructor(level: LogLevel) {
    this.#level = level;
  }

  add(request: FastifyRequest, facts: RequestFacts): void {
    this.#facts.set(request, { ...this.#facts.get(request), ...facts });
  }

  /** Why a request is not answered, or not to its end. */
  failed(request: FastifyRequest, error: unknown): void {
    this.#errors.set(request, error);
  }

  /** `status` is what was sent, or 499 where the client went. */
  ended(request: FastifyRequest, reply: FastifyReply, status: number): void {
    const error = this.#errors.get(request);
    const failed = error !== undefined && apiErrorOf(error).status === 500;
    if (this.#level === "errors" && !failed) return;
    const line = {
      time: new Date().toISOString(),
      request: request.id,
      method: request.method,
      route: request.routeOptions.url ?? "other",
      status,
      ms: Math.round(reply.elapsedTime),
      ...this.#facts.get(request),
      ...(error === undefined ? {} : errorFacts(error)),
    };
    process.stderr.write(`${JSON.stringify(line)}\n`);
  }
}

/** `code` of a client's error; the message and the stack besides where the server is at fault. */
function errorFacts(error: unknown): object {
  const { status, code } = apiErrorOf(error);
  if (status !== 500) return { error: code };
  const stack = error instanceof Error ? error.stack : undefined;
  return { error: code, message: messageOf(error), stack };
}
