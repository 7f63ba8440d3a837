import { statSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { type Built, modeOf } from "../build-folder/open.js";
import { chatTemplateOf } from "../chat.js";
import { load } from "../load.js";
import { GsicError, messageOf } from "../support/errors.js";
import { runtimeError } from "../support/runtime-error.js";
import { keepCache, readCache } from "./cache-file.js";
import type { ConnectionLimits } from "./connections.js";
import { type Guards, localGuards } from "./front.js";
import { addressOf, isLoopback, type KeyOptions, keyOf, reachableUrls, requireKey } from "./listening.js";
import type { LogLevel } from "./request-log.js";
import { ModelServer, type ServeLimits } from "./server.js";

/** Where a server listens, how it runs the model, and its limits. */
export interface ServeOptions
  extends Omit<ServeLimits, "maxTokens">,
    KeyOptions,
    Pick<ConnectionLimits, "receive"> {
  /** Bytes of the KV caches of all requests; undefined: sixteen contexts, but at most a quarter of the memory. */
  readonly cache?: number | undefined;
  /** Where the caches are kept from one server to the next; undefined: nowhere. */
  readonly cacheFile?: string | undefined;
  readonly host: string;
  /** 0: one that is free. */
  readonly port: number;
  readonly mode?: string | undefined;
  readonly threads?: number | undefined;
  /** Undefined: as many as the context has room for. */
  readonly maxTokens?: number | undefined;
  /** Seconds that requests have to end once the server is told to stop. */
  readonly grace: number;
  /** Connections that are open at once. */
  readonly maxConnections: number;
  /** Names, besides this machine's own, by which browsers and proxies may ask. */
  readonly allowHost: readonly string[];
  /** Whether other machines are served without a key. */
  readonly allowAnyone?: boolean | undefined;
  readonly log: LogLevel;
}

/** Where a server listens, and what it serves. */
export interface ServeAddress {
  /** The first of `urls`. */
  readonly url: string;
  /** Every address that it is reached at. */
  readonly urls: readonly string[];
  /** Whether a key is asked for. */
  readonly key: boolean;
  readonly model: string;
  readonly mode: string;
  readonly target: string;
  readonly chat: boolean;
  /** Tokens of earlier texts that `cacheFile` held. */
  readonly cached: number;
}

/**
 * Serves a build until the process is told to stop (SIGTERM, SIGINT; twice: at once). `listening` is told the address.
 * Throws `tokenizer-missing` (category data), `address-unavailable` (category environment), and what `load` throws.
 */
export async function serve(
  built: Built,
  options: ServeOptions,
  listening: (address: ServeAddress) => void,
): Promise<void> {
  const mode = modeOf(built, options.mode);
  const address = await addressOf(options.host);
  const key = keyOf(options);
  requireKey(address, key, options.allowAnyone === true);
  if (built.report.text_unavailable !== null) throw textUnavailable(built);
  const chat = chatTemplateOf(built);
  const model = await load(built.bundle, { threads: options.threads }).catch((error: unknown) => {
    throw runtimeError(error, built.bundle) ?? error;
  });
  try {
    const batch = await model.batch({ mode, cacheBytes: options.cache }).catch((error: unknown) => {
      throw runtimeError(error, built.bundle) ?? error;
    });
    const cached = await readCache(batch, options.cacheFile);
    const server = new ModelServer(
      {
        model,
        batch,
        mode,
        chat,
        fingerprint: `gsic-${built.report.model.fingerprint.slice(0, 12)}-${mode}`,
        created: Math.floor(statSync(built.bundle).mtimeMs / 1000),
      },
      { ...options, maxTokens: options.maxTokens ?? model.info.context },
      guardsOf(options, address, key),
    );
    const told = whenTold();
    await server.app.listen({ host: address, port: options.port }).catch((cause: unknown) => {
      throw addressUnavailable(options, cause);
    });
    const { port } = server.app.server.address() as AddressInfo;
    const urls = reachableUrls(address, port);
    const { name, target } = model.info;
    listening({
      url: urls[0]!,
      urls,
      key: key !== null,
      model: name,
      mode,
      target,
      chat: chat !== null,
      cached,
    });
    await told.once;
    await server.stop(options.grace, told.twice);
    if (options.cacheFile !== undefined) await keepCache(batch, options.cacheFile);
  } finally {
    model.dispose();
  }
}

/** Beyond this machine a server has names that it does not know: `Host` is then checked only against `--allow-host`. */
function guardsOf(options: ServeOptions, address: string, key: string | null): Guards {
  const hosts = options.allowHost.map((name) => name.toLowerCase());
  const { headers } = localGuards.connections;
  return {
    access: { key, hosts, checkHost: isLoopback(address) || hosts.length > 0 },
    connections: { connections: options.maxConnections, headers, receive: options.receive },
    log: options.log,
  };
}

/** Signals that ask a process to stop: the first as a promise, the second as an abort. */
function whenTold(): { readonly once: Promise<void>; readonly twice: AbortSignal } {
  const twice = new AbortController();
  let count = 0;
  const once = new Promise<void>((told) => {
    const hear = () => (count++ === 0 ? told() : twice.abort());
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, hear);
  });
  return { once, twice: twice.signal };
}

function textUnavailable({ folder, report }: Built): GsicError {
  return new GsicError({
    category: "data",
    code: "tokenizer-missing",
    message: `this build takes token ids only: ${report.text_unavailable}`,
    where: folder,
    hint: "build a model whose tokenizer gsic can run",
  });
}

function addressUnavailable({ host, port }: ServeOptions, cause: unknown): GsicError {
  return new GsicError({
    category: "environment",
    code: "address-unavailable",
    message: messageOf(cause),
    where: `${host}:${port}`,
    hint: "choose another --port (0: one that is free), or a --host of this machine",
    cause,
  });
}
