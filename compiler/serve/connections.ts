/** The connections of a server: how many, how long a request may take to arrive, and their end. */

import type { Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { ApiError } from "./errors.js";

/** What a client may take of a server before it has asked for anything. */
export interface ConnectionLimits {
  /** Open at once; more are closed as they come. */
  readonly connections: number;
  /** Seconds in which a request's headers must have arrived. */
  readonly headers: number;
  /** Seconds in which a request must have arrived, its body included. */
  readonly receive: number;
}

/** Options of `http.createServer` for these limits. */
export function httpOptions({ headers, receive }: ConnectionLimits) {
  return {
    headersTimeout: 1000 * Math.min(headers, receive),
    requestTimeout: 1000 * receive,
    // How often Node looks for who is late; its default of 30 s would add to every limit.
    connectionsCheckingInterval: 500,
  };
}

/** Knows every open connection. */
export class Connections {
  readonly #open = new Set<Socket>();
  /** What a connection's last request is answered by. */
  readonly #answers = new WeakMap<Socket, ServerResponse>();

  constructor(server: Server, { connections }: ConnectionLimits) {
    server.maxConnections = connections;
    // Who only waits makes room for who comes next.
    server.on("drop", () => server.closeIdleConnections());
    server.on("connection", (socket: Socket) => {
      this.#open.add(socket);
      socket.once("close", () => this.#open.delete(socket));
    });
  }

  get count(): number {
    return this.#open.size;
  }

  /** Notes what a request is answered by. */
  answers(socket: Socket, response: ServerResponse): void {
    this.#answers.set(socket, response);
  }

  /** Closes every connection on which no answer is under way. */
  closeIdle(): void {
    for (const socket of this.#open) {
      const answer = this.#answers.get(socket);
      if (answer === undefined || answer.writableFinished) socket.destroy();
    }
  }

  closeAll(): void {
    for (const socket of this.#open) socket.destroy();
  }

  /**
   * What is no request, or comes too slowly, as far as Node's parser reads it: answered in the form of every other
   * error, if nothing of an answer is sent yet, and closed.
   */
  refuse(error: NodeJS.ErrnoException, socket: Socket): void {
    const answer = this.#answers.get(socket);
    const silent = answer === undefined || answer.writableFinished || !answer.headersSent;
    if (socket.writable && silent && error.code !== "ECONNRESET") socket.write(rawAnswer(wireError(error)));
    socket.destroySoon();
  }
}

function wireError({ code }: NodeJS.ErrnoException): ApiError {
  switch (code) {
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return new ApiError(408, "the request did not arrive in time", { code: "request_timeout" });
    case "HPE_HEADER_OVERFLOW":
      return new ApiError(431, "the headers are too large", { code: "headers_too_large" });
    default:
      return new ApiError(400, "this is not a request of HTTP/1.1", { code: "malformed_request" });
  }
}

const reasons: Readonly<Record<number, string>> = {
  400: "Bad Request",
  408: "Request Timeout",
  431: "Request Header Fields Too Large",
};

/** An answer where there is no request to answer. */
function rawAnswer(error: ApiError): string {
  const body = JSON.stringify(error.body());
  const length = Buffer.byteLength(body);
  const head = `HTTP/1.1 ${error.status} ${reasons[error.status]}\r\nconnection: close\r\n`;
  return `${head}content-type: application/json; charset=utf-8\r\ncontent-length: ${length}\r\n\r\n${body}`;
}
