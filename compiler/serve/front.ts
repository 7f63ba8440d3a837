/** What every request meets, whatever its route: who is let in, limits, the form of errors, the log, the end. */

import { randomUUID } from "node:crypto";
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import { Access, type AccessRules } from "./access.js";
import { type ConnectionLimits, Connections, httpOptions } from "./connections.js";
import { ApiError, apiErrorOf, shown } from "./errors.js";
import { refuseDeepJson } from "./json-depth.js";
import type { Metrics } from "./metrics.js";
import { type LogLevel, RequestLog } from "./request-log.js";
import { keepWideSeed } from "./wide-seed.js";

declare module "fastify" {
  interface FastifyContextConfig {
    /** Whether the route is answered without a key. */
    readonly open?: boolean;
  }
}

/** How a server is guarded. */
export interface Guards {
  readonly access: AccessRules;
  readonly connections: ConnectionLimits;
  readonly log: LogLevel;
}

/** Guards of a server that this machine alone reaches. */
export const localGuards: Guards = {
  access: { key: null, hosts: [], checkHost: true },
  connections: { connections: 512, headers: 10, receive: 60 },
  log: "errors",
};

/** The status of requests whose client went; nobody receives it. */
export const clientGone = 499;

/** Seconds in which answers that are ended may still reach their clients. */
const lastWords = 2;

/** An HTTP server without routes. */
export class Front {
  readonly app: FastifyInstance;
  readonly log: RequestLog;
  readonly #connections: Connections;
  readonly #access: Access;
  readonly #metrics: Metrics;
  #stopping = false;

  constructor(maxBody: number, guards: Guards, metrics: Metrics) {
    this.log = new RequestLog(guards.log);
    this.#access = new Access(guards.access);
    this.#metrics = metrics;
    this.app = Fastify({
      bodyLimit: maxBody,
      return503OnClosing: false,
      genReqId: () => randomUUID(),
      requestTimeout: 1000 * guards.connections.receive,
      http: httpOptions(guards.connections),
      clientErrorHandler: (error, socket) => this.#connections.refuse(error, socket),
      // An address that cannot be decoded reaches no hook.
      frameworkErrors: (error, request, reply) => {
        this.#begin(request, reply);
        this.#sendError(error, request, reply);
      },
      // Values are what they are: no text becomes a number, and no field is dropped.
      ajv: { customOptions: { coerceTypes: false, removeAdditional: false } },
    });
    this.#connections = new Connections(this.app.server, guards.connections);
    metrics.watchConnections(() => this.#connections.count);
    this.#addHandlers();
  }

  /** Whether the server takes no more requests. */
  get stopping(): boolean {
    return this.#stopping;
  }

  /**
   * Takes no more connections, and waits for answers. After `grace` seconds, or when `now` is aborted, `end` is told to
   * end them, and every connection is closed: those without an answer at once, the others when they had their last
   * words.
   */
  async stop(grace: number, now: AbortSignal, end: () => void): Promise<void> {
    this.#stopping = true;
    let last: NodeJS.Timeout | undefined;
    const endAll = () => {
      end();
      this.#connections.closeIdle();
      last ??= setTimeout(() => this.#connections.closeAll(), 1000 * lastWords);
    };
    now.addEventListener("abort", endAll);
    const timer = setTimeout(endAll, 1000 * grace);
    if (now.aborted) endAll();
    await this.app.close();
    clearTimeout(timer);
    clearTimeout(last);
    now.removeEventListener("abort", endAll);
  }

  #addHandlers(): void {
    const { app } = this;
    app.removeAllContentTypeParsers();
    const parse = app.getDefaultJsonParser("error", "error");
    app.addContentTypeParser<string>("application/json", { parseAs: "string" }, (request, body, done) => {
      try {
        refuseDeepJson(body);
      } catch (error) {
        done(error as Error);
        return;
      }
      parse(request, body, (error, parsed) => {
        keepWideSeed(body, parsed);
        done(error, parsed);
      });
    });
    app.setErrorHandler((error, request, reply) => this.#sendError(error, request, reply));
    app.setNotFoundHandler(({ method, url }) => {
      throw new ApiError(404, `there is no ${method} ${shown(url)}`, { code: "unknown_url" });
    });
    app.addHook("onRequest", async (request, reply) => {
      this.#begin(request, reply);
      const { host, origin, authorization } = request.headers;
      this.#access.check({ host, origin, authorization }, request.routeOptions.config?.open === true);
    });
  }

  #begin(request: FastifyRequest, reply: FastifyReply): void {
    reply.header("x-request-id", request.id);
    this.#connections.answers(request.raw.socket, reply.raw);
    // Not the hook onResponse, which does not come when a client goes.
    reply.raw.once("close", () => this.#closed(request, reply));
  }

  #closed(request: FastifyRequest, reply: FastifyReply): void {
    const route = request.routeOptions.url ?? "other";
    const status = reply.raw.writableFinished ? reply.statusCode : clientGone;
    this.#metrics.requests.inc({ route, status: String(status) });
    this.#metrics.seconds.observe({ route }, reply.elapsedTime / 1000);
    this.log.ended(request, reply, status);
    // A connection that is kept alive would keep the server from closing.
    if (this.#stopping) request.raw.socket.end();
  }

  #sendError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
    const answer = apiErrorOf(error);
    this.log.failed(request, error);
    if (answer.retryAfter !== undefined) reply.header("retry-after", answer.retryAfter);
    if (answer.status === 401) reply.header("www-authenticate", "Bearer");
    return reply.code(answer.status).send(answer.body());
  }
}
