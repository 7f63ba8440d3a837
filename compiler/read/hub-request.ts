import { GsicError, messageOf } from "../support/errors.js";
import { badInput } from "./file.js";

/** How to reach a hub. */
export interface HubAccess {
  /** Such as https://huggingface.co, without a slash at the end. */
  readonly endpoint: string;
  readonly token: string | undefined;
  /** Milliseconds in which fewer bytes than `leastRate` gives count as a transfer that broke off. */
  readonly stall: number;
}

/** Bytes a second below which a transfer is not waited for. */
const leastRate = 1024;

/** What is asked for, in error messages: `owner/name@revision`. */
export interface HubSubject {
  readonly model: string;
  readonly revision: string;
}

/** A response, and what the redirects that led to it said. */
export interface HubResponse {
  readonly status: number;
  /** A header of the first response in the chain that has it: there the hub describes the file. */
  readonly described: (name: string) => string | undefined;
  /** A header of the last response, which carries the body. */
  readonly header: (name: string) => string | undefined;
  /** The body's chunks; breaks off with `HubInterrupted`. */
  readonly body: AsyncIterable<Uint8Array>;
  /** Gives up the body. */
  readonly cancel: () => void;
}

/** The network failed in a way that may pass: a broken connection, a stall, a status of 429 or 5xx. */
export class HubInterrupted extends Error {
  /** Whether bytes came, but too few: then those that did are no progress. */
  readonly slow: boolean = false;
}

/** A transfer that would never end. */
class HubTooSlow extends HubInterrupted {
  override readonly slow = true;
}

const maxRedirects = 6;

/**
 * GET with redirects followed by hand, because the hub describes a file (X-Linked-Size, X-Linked-Etag) on the
 * redirect and not on the storage it leads to, and because the token must not reach another host.
 */
export async function hubGet(
  url: string,
  access: HubAccess,
  subject: HubSubject,
  headers: Readonly<Record<string, string>> = {},
): Promise<HubResponse> {
  const seen: Headers[] = [];
  const stall = new StallTimer(access.stall);
  let current = new URL(url);
  for (let hop = 0; hop <= maxRedirects; hop++) {
    const response = await request(current, access, headers, stall);
    seen.push(response.headers);
    const location = response.headers.get("location");
    if (response.status < 300 || response.status >= 400 || location === null) {
      return checked(response, seen, current, access, subject, stall);
    }
    await response.body?.cancel();
    current = redirected(current, location);
  }
  stall.stop();
  throw hubError("hub-response", `more than ${maxRedirects} redirects`, url, "check HF_ENDPOINT");
}

/** Reads a short text body. */
export async function hubText(response: HubResponse, url: string, limit: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body) {
    bytes += chunk.length;
    if (bytes > limit) {
      response.cancel();
      throw hubError("hub-response", `the answer is longer than ${limit} bytes`, url, "check HF_ENDPOINT");
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** An error of the network or of what the hub answers: category `environment`. */
export function hubError(
  code: string,
  message: string,
  where: string,
  hint: string,
  cause?: unknown,
): GsicError {
  return new GsicError({ category: "environment", code, message, where, hint, cause });
}

async function request(
  url: URL,
  access: HubAccess,
  headers: Readonly<Record<string, string>>,
  stall: StallTimer,
): Promise<Response> {
  const sameHost = url.origin === new URL(access.endpoint).origin;
  const authorization =
    access.token !== undefined && sameHost ? { authorization: `Bearer ${access.token}` } : {};
  stall.touch();
  try {
    return await fetch(url, {
      redirect: "manual",
      signal: stall.signal,
      // Compressed answers would break byte ranges and sizes.
      headers: { "accept-encoding": "identity", "user-agent": "gsic", ...authorization, ...headers },
    });
  } catch (error) {
    stall.stop();
    throw new HubInterrupted(reasonOf(error), { cause: error });
  }
}

function redirected(from: URL, location: string): URL {
  const to = URL.canParse(location, from.href) ? new URL(location, from) : undefined;
  const secure = to?.protocol === "https:" || (to?.protocol === "http:" && from.protocol === "http:");
  if (to === undefined || !secure) {
    throw hubError(
      "hub-response",
      `a redirect to ${JSON.stringify(location)}`,
      from.href,
      "check HF_ENDPOINT",
    );
  }
  return to;
}

async function checked(
  response: Response,
  seen: readonly Headers[],
  url: URL,
  access: HubAccess,
  subject: HubSubject,
  stall: StallTimer,
): Promise<HubResponse> {
  const described = (name: string) =>
    seen.map((headers) => headers.get(name)).find((value) => value !== null) ?? undefined;
  const header = (name: string) => response.headers.get(name) ?? undefined;
  const { status } = response;
  const cancel = () => {
    stall.stop();
    response.body?.cancel().catch(() => undefined);
  };
  if (status === 200 || status === 206 || status === 416) {
    return { status, described, header, body: chunksOf(response, stall), cancel };
  }
  cancel();
  if (status === 429 || status >= 500) {
    throw new HubInterrupted(`the server answered ${status}`);
  }
  throw refusal(status, described("x-error-code"), url, access, subject);
}

async function* chunksOf(response: Response, stall: StallTimer): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of response.body ?? []) {
      stall.arrived((chunk as Uint8Array).length);
      yield chunk as Uint8Array;
    }
  } catch (error) {
    const Interrupted = stall.tooSlow ? HubTooSlow : HubInterrupted;
    throw new Interrupted(reasonOf(error), { cause: error });
  } finally {
    stall.stop();
  }
}

function refusal(
  status: number,
  code: string | undefined,
  url: URL,
  access: HubAccess,
  { model, revision }: HubSubject,
): GsicError {
  const where = url.origin + url.pathname;
  if (code === "RevisionNotFound") {
    return hubError(
      "hub-revision-missing",
      `${model} has no revision ${revision}`,
      where,
      "name a branch, tag or commit",
    );
  }
  if (code === "EntryNotFound") {
    return hubError(
      "hub-file-missing",
      `${model}@${revision} lacks the file`,
      where,
      "choose a complete model",
    );
  }
  if (code === "GatedRepo" || status === 403 || (status === 401 && code !== "RepoNotFound")) {
    const next =
      access.token === undefined
        ? "accept the model's terms on its page and set HF_TOKEN to an access token"
        : "accept the model's terms on its page with the account that HF_TOKEN belongs to";
    return hubError("hub-forbidden", `the hub does not hand out ${model} (status ${status})`, where, next);
  }
  if (status === 404 || code === "RepoNotFound") {
    const hint = "check the spelling; a private model needs HF_TOKEN";
    return badInput("hub-not-found", `the hub has no model ${model} with revision ${revision}`, where, hint);
  }
  return hubError("hub-response", `the server answered ${status}`, where, "check HF_ENDPOINT");
}

/** The innermost message: fetch hides the reason in `cause`. */
function reasonOf(error: unknown): string {
  let reason = error;
  while (reason instanceof Error && reason.cause !== undefined) {
    reason = reason.cause;
  }
  return messageOf(reason);
}

/** Aborts a transfer when too little arrives: looks at every `milliseconds`, since a timer that each byte renews would not. */
class StallTimer {
  private readonly controller = new AbortController();
  private timer: NodeJS.Timeout | undefined;
  private bytes = 0;
  /** Whether it was aborted although something had arrived. */
  tooSlow = false;

  constructor(private readonly milliseconds: number) {}

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** Begins to wait for a response. */
  touch(): void {
    this.stop();
    this.bytes = 0;
    this.timer = setInterval(() => this.look(), this.milliseconds);
  }

  arrived(bytes: number): void {
    this.bytes += bytes;
  }

  stop(): void {
    clearInterval(this.timer);
  }

  private look(): void {
    const seconds = this.milliseconds / 1000;
    this.tooSlow = this.bytes > 0;
    const what = this.tooSlow ? `no more than ${this.bytes} bytes` : "nothing";
    if (this.bytes < leastRate * seconds)
      this.controller.abort(new Error(`${what} arrived for ${seconds} s`));
    this.bytes = 0;
  }
}
