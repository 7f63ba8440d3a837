/** The page at `/`: a conversation with the model, in one file that asks for nothing but this server. */

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { FastifyInstance } from "fastify";
import Handlebars from "handlebars";
import { packageRoot } from "../support/paths.js";

/** What the page says of the server. */
interface ChatPageFacts {
  readonly model: string;
  readonly mode: string;
  /** Whether the model has a chat template. */
  readonly chat: boolean;
  readonly context: number;
}

const folder = join(packageRoot, "compiler/serve/page");

/** The page's scripts, in the order in which they need one another. */
const scripts = ["elements.js", "answers.js", "alternatives.js", "settings.js", "conversation.js", "main.js"];

/** The page, and the policy that lets it run nothing but what is in it. */
export function chatPage(facts: ChatPageFacts): { readonly html: string; readonly policy: string } {
  const read = (name: string) => readFileSync(join(folder, name), "utf8");
  const html = Handlebars.compile(read("chat.hbs"), { strict: true })({
    ...facts,
    style: read("chat.css"),
    data: JSON.stringify(facts).replaceAll("<", "\\u003c"),
    scripts: scripts.map(read),
  });
  const policy = [
    "default-src 'none'",
    `script-src ${hashOf(html, "script")}`,
    `style-src ${hashOf(html, "style")}`,
    "connect-src 'self'",
    "img-src data:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; ");
  return { html, policy };
}

/** The content of the page's only element of a name, as a policy names it. */
function hashOf(html: string, name: "script" | "style"): string {
  const begin = html.indexOf(`<${name}>`) + name.length + 2;
  const content = html.slice(begin, html.indexOf(`</${name}>`, begin));
  return `'sha256-${createHash("sha256").update(content).digest("base64")}'`;
}

/** Adds the page. Whoever may see the server may see it; what it asks for needs the key, where there is one. */
export function addChatPage(app: FastifyInstance, facts: ChatPageFacts): void {
  const { html, policy } = chatPage(facts);
  app.get("/", { config: { open: true } }, (_, reply) =>
    reply
      .type("text/html; charset=utf-8")
      .header("content-security-policy", policy)
      .header("x-content-type-options", "nosniff")
      .header("referrer-policy", "no-referrer")
      .header("cache-control", "no-cache")
      .send(html),
  );
}
