import { existsSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { GsicError } from "../support/errors.js";
import { cacheFolder } from "../support/paths.js";
import { badInput, readText, unwritable, writeAtomically } from "./file.js";
import { download, unreachable } from "./hub-download.js";
import { type HubAccess, HubInterrupted, type HubSubject, hubError, hubGet, hubText } from "./hub-request.js";
import { indexName, parseShardIndex, singleName } from "./safetensors-shards.js";

/** A model on a hub: `hf:owner/name` or `hf:owner/name@revision`. */
interface HubSource {
  readonly owner: string;
  readonly name: string;
  /** Branch, tag or commit; `main` where none is given. */
  readonly revision: string;
}

/** How far a download is. */
export interface HubProgress {
  readonly file: string;
  /** Position of the file among those known so far, from 1. */
  readonly index: number;
  readonly files: number;
  readonly received: number;
  /** Bytes of the file; undefined where the server does not say. */
  readonly total: number | undefined;
}

/** Where models are fetched from and kept, and how often and how long a transfer is tried. */
export interface HubOptions {
  /** Default: the environment's HF_ENDPOINT, else https://huggingface.co. */
  readonly endpoint?: string;
  /** Default: the environment's GSIC_CACHE, else XDG_CACHE_HOME/gsic, else ~/.cache/gsic. */
  readonly cache?: string;
  /** Default: the environment's HF_TOKEN. */
  readonly token?: string;
  readonly onProgress?: (progress: HubProgress) => void;
  /** Attempts in a row without a new byte; default 5. */
  readonly attempts?: number;
  /** Milliseconds before the first repetition; default 1000. */
  readonly delay?: number;
  /** Milliseconds in which less than `leastRate` counts as a broken transfer; default 60000. */
  readonly stall?: number;
}

/** Besides weights: what a model and its tokenizer need. Only config.json must exist. */
const smallFiles = [
  "config.json",
  "generation_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "chat_template.jinja",
  "special_tokens_map.json",
  "added_tokens.json",
  "vocab.json",
  "merges.txt",
] as const;

/** Bytes of a small file, and of those that are larger in models that people use: 33 MB is the largest vocabulary. */
const maxSmall = 16 << 20;
const maxBytes: Readonly<Record<string, number>> = { "tokenizer.json": 64 << 20 };

const maxAnswer = 64 << 20;
const maxIndex = 100_000_000;

interface Job {
  readonly source: HubSource;
  readonly subject: HubSubject;
  readonly access: HubAccess;
  readonly options: HubOptions;
  /** Folder of this model in the cache. */
  readonly home: string;
}

/** True for `hf:…`. */
export function isHubSource(source: string): boolean {
  return source.startsWith("hf:");
}

/** Parses `hf:owner/name[@revision]`; throws `hub-source`. */
export function parseHubSource(source: string): HubSource {
  const match = /^hf:([\w][\w.-]*)\/([\w][\w.-]*)(?:@([\w][\w./-]*))?$/.exec(source);
  if (match === null || source.length > 300 || source.includes("..")) {
    throw new GsicError({
      category: "usage",
      code: "hub-source",
      message: `${JSON.stringify(source)} does not name a model on a hub`,
      where: "source",
      hint: "write hf:owner/name or hf:owner/name@revision",
    });
  }
  return { owner: match[1]!, name: match[2]!, revision: match[3] ?? "main" };
}

/**
 * Fetches a model (config, tokenizer, safetensors) into the cache and returns its folder there. Files that are there
 * already are not fetched again; without a network, a model that was fetched completely is used as it is.
 */
export async function fetchFromHub(source: string, options: HubOptions = {}): Promise<string> {
  const job = jobOf(parseHubSource(source), options);
  const known = await rememberedCommit(job);
  if (known !== undefined && known === job.source.revision) {
    return join(job.home, known);
  }
  let listing: Listing;
  try {
    listing = await listFiles(job);
  } catch (error) {
    if (known !== undefined && error instanceof GsicError && error.code === "hub-unreachable") {
      return join(job.home, known);
    }
    throw error;
  }
  const folder = join(job.home, listing.commit);
  const small = smallFiles.filter((file) => listing.files.has(file));
  if (!listing.files.has("config.json")) {
    throw lacking(job, "config.json");
  }
  const hasIndex = listing.files.has(indexName);
  if (!hasIndex && !listing.files.has(singleName)) {
    throw lacking(job, `${singleName} or ${indexName}`);
  }
  const first: string[] = [...small, hasIndex ? indexName : singleName];
  await fetchFiles(job, listing.commit, first, 0, first.length);
  if (hasIndex) {
    const index = join(folder, indexName);
    const { shards } = parseShardIndex(readText(index, maxIndex), index);
    await fetchFiles(job, listing.commit, shards, first.length, first.length + shards.length);
  }
  await rememberCommit(job, listing.commit);
  return folder;
}

function jobOf(source: HubSource, options: HubOptions): Job {
  const model = `${source.owner}/${source.name}`;
  const endpoint = (options.endpoint ?? (process.env.HF_ENDPOINT || "https://huggingface.co")).replace(
    /\/+$/,
    "",
  );
  if (!URL.canParse(endpoint) || !/^https?:/.test(endpoint)) {
    const hint = "set it to an address such as https://huggingface.co";
    throw hubError("hub-endpoint", `${JSON.stringify(endpoint)} is not an http address`, "HF_ENDPOINT", hint);
  }
  const token = options.token ?? (process.env.HF_TOKEN || undefined);
  return {
    source,
    subject: { model, revision: source.revision },
    access: { endpoint, token, stall: options.stall ?? 60_000 },
    options,
    home: join(options.cache || cacheFolder(), "hub", `${source.owner}--${source.name}`),
  };
}

interface Listing {
  readonly commit: string;
  readonly files: ReadonlySet<string>;
}

/** Asks which commit the revision is, and which files it has. */
async function listFiles(job: Job): Promise<Listing> {
  const { model, revision } = job.subject;
  const url = `${job.access.endpoint}/api/models/${model}/revision/${encodeURIComponent(revision)}`;
  const text = await repeated(job, url, async () =>
    hubText(await hubGet(url, job.access, job.subject), url, maxAnswer),
  );
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch {
    answer = undefined;
  }
  const { sha, siblings } = (answer ?? {}) as { sha?: unknown; siblings?: unknown };
  if (typeof sha !== "string" || !/^[0-9a-f]{40}$/.test(sha) || !Array.isArray(siblings)) {
    const message = "the answer is not a hub's description of a model";
    throw hubError(
      "hub-response",
      message,
      url,
      "check HF_ENDPOINT; a proxy or a log-in page may stand between",
    );
  }
  const names = siblings.map((sibling: unknown) => (sibling as { rfilename?: unknown } | null)?.rfilename);
  return { commit: sha, files: new Set(names.filter((name) => typeof name === "string")) };
}

/** Repeats a short request while the network fails in a way that may pass. */
async function repeated<T>(job: Job, url: string, action: () => Promise<T>): Promise<T> {
  const attempts = job.options.attempts ?? 5;
  for (let attempt = 1; ; attempt++) {
    try {
      return await action();
    } catch (error) {
      if (!(error instanceof HubInterrupted)) {
        throw error;
      }
      if (attempt >= attempts) {
        throw unreachable(url, error);
      }
      await sleep((job.options.delay ?? 1000) * 2 ** (attempt - 1));
    }
  }
}

async function fetchFiles(
  job: Job,
  commit: string,
  names: readonly string[],
  before: number,
  files: number,
): Promise<void> {
  for (const [position, name] of names.entries()) {
    const target = join(job.home, commit, name);
    if (existsSync(target)) {
      continue;
    }
    const path = name.split("/").map(encodeURIComponent).join("/");
    await download(
      {
        url: `${job.access.endpoint}/${job.subject.model}/resolve/${commit}/${path}`,
        target,
        subject: job.subject,
        // Weights are as large as the server says; where that is more than there is room for, nothing is fetched.
        limit: name.endsWith(".safetensors") ? null : (maxBytes[name] ?? maxSmall),
        onProgress: (received, total) =>
          job.options.onProgress?.({ file: name, index: before + position + 1, files, received, total }),
        attempts: job.options.attempts ?? 5,
        delay: job.options.delay ?? 1000,
      },
      job.access,
    );
  }
}

/** The commit that this revision was when it was last fetched completely. */
async function rememberedCommit(job: Job): Promise<string | undefined> {
  const text = await readFile(referenceOf(job, job.source.revision), "utf8").catch(() => "");
  return /^[0-9a-f]{40}$/.test(text) && existsSync(join(job.home, text)) ? text : undefined;
}

/** Notes that a commit is complete, under the revision's name and its own. */
async function rememberCommit(job: Job, commit: string): Promise<void> {
  for (const revision of new Set([job.source.revision, commit])) {
    const file = referenceOf(job, revision);
    await mkdir(dirname(file), { recursive: true }).catch((error: unknown) => {
      throw unwritable(file, error);
    });
    await writeAtomically(file, [new TextEncoder().encode(commit)]);
  }
}

function referenceOf(job: Job, revision: string): string {
  return join(job.home, "refs", encodeURIComponent(revision));
}

function lacking(job: Job, what: string): GsicError {
  const { model, revision } = job.subject;
  return badInput(
    "hub-not-a-model",
    `${model}@${revision} holds no ${what}`,
    `${job.access.endpoint}/${model}/tree/${revision}`,
    "choose a model with safetensors weights, or download a .gguf file and name that as `source`",
  );
}
