/** Who may ask a server: the key, and the names by which browsers may reach it. */

import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { isIP } from "node:net";
import { ApiError } from "./errors.js";
import { isLoopback } from "./listening.js";

/** Who is let in. */
export interface AccessRules {
  /** What `Authorization: Bearer` must bring; null: nothing is asked for. */
  readonly key: string | null;
  /** Names besides those of this machine that `Host` and `Origin` may have, in lower case. */
  readonly hosts: readonly string[];
  /**
   * Whether `Host` must be a name of this machine or one of `hosts`. A page whose name was rebound to this machine's
   * address (DNS rebinding) has its own name there.
   */
  readonly checkHost: boolean;
}

/** What a request says of its sender. */
interface Sender {
  readonly host: string | undefined;
  readonly origin: string | undefined;
  readonly authorization: string | undefined;
}

/** Lets requests in, or throws an `ApiError`: 403 for a name, 401 for a key. */
export class Access {
  readonly #rules: AccessRules;
  /** Digests are compared, by a key that nobody knows: their lengths are equal, and time tells nothing of the text. */
  readonly #secret = randomBytes(32);
  readonly #expected: Buffer | null;

  constructor(rules: AccessRules) {
    this.#rules = rules;
    this.#expected = rules.key === null ? null : this.#digest(rules.key);
  }

  /** `open`: the route needs no key. */
  check(sender: Sender, open: boolean): void {
    this.#checkHost(sender.host);
    this.#checkOrigin(sender);
    if (!open) this.#checkKey(sender.authorization);
  }

  #checkHost(host: string | undefined): void {
    if (!this.#rules.checkHost) return;
    const name = hostName(host);
    if (name !== null && this.#isKnown(name)) return;
    throw new ApiError(403, "this server is not known by the name that Host gives; --allow-host adds names", {
      code: "host_not_allowed",
    });
  }

  /** A page may ask the server that it came from, and what `hosts` names. */
  #checkOrigin({ host, origin }: Sender): void {
    if (origin === undefined) return;
    const from = URL.canParse(origin) ? new URL(origin) : null;
    if (from !== null && from.host !== "") {
      const name = hostName(from.host);
      if (name !== null && this.#rules.hosts.includes(name)) return;
      if (host !== undefined && from.host === host.toLowerCase()) return;
    }
    throw new ApiError(403, "pages of another origin may not use this server; --allow-host adds names", {
      code: "origin_not_allowed",
    });
  }

  #checkKey(authorization: string | undefined): void {
    if (this.#expected === null) return;
    const [, given] = /^Bearer +(\S+) *$/i.exec(authorization ?? "") ?? [];
    if (given !== undefined && timingSafeEqual(this.#digest(given), this.#expected)) return;
    const message =
      given === undefined ? "this server needs a key: Authorization: Bearer KEY" : "the key is wrong";
    throw new ApiError(401, message, { code: "invalid_api_key" });
  }

  #isKnown(name: string): boolean {
    if (name === "localhost" || this.#rules.hosts.includes(name)) return true;
    return isIP(name) !== 0 && isLoopback(name);
  }

  #digest(text: string): Buffer {
    return createHmac("sha256", this.#secret).update(text).digest();
  }
}

/** The name of a `Host`, without its port, in lower case, without brackets or a last dot; null where it is none. */
function hostName(host: string | undefined): string | null {
  const [, name] = /^(\[[0-9a-f:.]+\]|[\w.-]+)(?::\d{1,5})?$/i.exec(host ?? "") ?? [];
  return name === undefined
    ? null
    : name
        .toLowerCase()
        .replace(/^\[(.*)\]$/, "$1")
        .replace(/\.$/, "");
}
