import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { codeOf, safetensorsBytes, temporaryFolder } from "../testing/files.js";
import { fetchFromHub, type HubOptions, type HubProgress, isHubSource, parseHubSource } from "./hub.js";
import { Weights } from "./weights.js";

const commit = "0123456789abcdef0123456789abcdef01234567";

/** A stand-in for the hub and, as a second host, for the storage that it redirects large files to. */
class StandIn {
  files = new Map<string, Uint8Array>();
  /** What storage sends instead of a file. */
  replaced = new Map<string, Uint8Array>();
  /** Bytes after which storage breaks off, one entry for each answer. */
  cuts: number[] = [];
  /** Statuses that storage answers first. */
  failures: number[] = [];
  ranges = true;
  stalls = false;
  /** Storage sends a byte every so many milliseconds, and never ends. */
  trickle: number | undefined;
  /** The hub, which sends all files itself then, says nothing of their sizes, or of their digests either. */
  silent: "no size" | "nothing" | undefined;
  token: string | undefined;
  /** `METHOD host path range` of every request. */
  log: string[] = [];
  leaked = false;
  private hub!: Server;
  private storage!: Server;

  async start(): Promise<void> {
    this.hub = createServer((request, response) => this.answerHub(request, response));
    this.storage = createServer((request, response) => this.answerStorage(request, response));
    await Promise.all(
      [this.hub, this.storage].map(
        (server) => new Promise<void>((done) => server.listen(0, "127.0.0.1", done)),
      ),
    );
  }

  async stop(): Promise<void> {
    for (const server of [this.hub, this.storage]) {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    }
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.hub.address() as AddressInfo).port}`;
  }

  private answerHub(request: IncomingMessage, response: ServerResponse): void {
    const path = decodeURIComponent(request.url ?? "");
    this.log.push(`hub ${path}`);
    const refuse = (status: number, code: string) =>
      response.writeHead(status, { "x-error-code": code }).end("no");
    if (path.includes("/gated")) {
      return void refuse(
        this.token !== undefined && request.headers.authorization === `Bearer ${this.token}` ? 403 : 401,
        "GatedRepo",
      );
    }
    if (!path.includes("/me/tiny")) {
      return void refuse(401, "RepoNotFound");
    }
    const revision = /\/revision\/(.*)$/.exec(path)?.[1];
    if (revision !== undefined) {
      const known = ["main", "v1", "refs/pr/1", commit].includes(revision);
      const siblings = [...this.files.keys()].map((rfilename) => ({ rfilename }));
      return void (known
        ? response.end(JSON.stringify({ sha: commit, siblings }))
        : refuse(404, "RevisionNotFound"));
    }
    const name = path.split(`/resolve/${commit}/`)[1] ?? path.split("/resolve-cache/")[1] ?? "";
    const content = this.files.get(name);
    if (content === undefined) {
      return void refuse(404, "EntryNotFound");
    }
    if (this.silent !== undefined) {
      const digest = createHash("sha1").update(`blob ${content.length}\0`).update(content).digest("hex");
      const described = { etag: `"${digest}"`, "x-repo-commit": commit };
      response.writeHead(200, {
        "transfer-encoding": "chunked",
        ...(this.silent === "no size" ? described : {}),
      });
      return void response.end(content);
    }
    if (path.includes("/resolve-cache/")) {
      return void response.end(content);
    }
    const git = createHash("sha1").update(`blob ${content.length}\0`).update(content).digest("hex");
    const sha256 = createHash("sha256").update(content).digest("hex");
    const large = name.endsWith(".safetensors");
    const location = large
      ? `http://localhost:${(this.storage.address() as AddressInfo).port}/${encodeURIComponent(name)}?signed`
      : `/me/tiny/resolve-cache/${name}`;
    const described = large ? { "x-linked-size": content.length, "x-linked-etag": `"${sha256}"` } : {};
    response.writeHead(large ? 302 : 307, {
      location,
      etag: `"${large ? "other" : git}"`,
      "x-repo-commit": commit,
      ...described,
    });
    response.end("a redirect has a body of its own");
  }

  private answerStorage(request: IncomingMessage, response: ServerResponse): void {
    const name = decodeURIComponent((request.url ?? "").slice(1).split("?")[0]!);
    const { range, authorization } = request.headers;
    this.log.push(`storage ${name} ${range ?? "whole"}`);
    this.leaked ||= authorization !== undefined;
    const failure = this.failures.shift();
    if (failure !== undefined) {
      return void response.writeHead(failure).end();
    }
    const content = this.replaced.get(name) ?? this.files.get(name)!;
    const start = this.ranges ? Number(/bytes=(\d+)-/.exec(range ?? "")?.[1] ?? 0) : 0;
    if (start > 0 && start >= content.length) {
      return void response.writeHead(416, { "content-range": `bytes */${content.length}` }).end();
    }
    const rest = content.subarray(start);
    const ranged = { "content-range": `bytes ${start}-${content.length - 1}/${content.length}` };
    response.writeHead(start > 0 ? 206 : 200, {
      "content-length": rest.length,
      ...(start > 0 ? ranged : {}),
    });
    if (this.trickle !== undefined) {
      let sent = 0;
      const timer = setInterval(() => response.write(rest.subarray(sent, ++sent)), this.trickle);
      return void response.on("close", () => clearInterval(timer));
    }
    const cut = this.cuts.shift();
    if (cut === undefined) {
      return void response.end(rest);
    }
    response.write(rest.subarray(0, cut), () => {
      if (!this.stalls) {
        setTimeout(() => response.destroy(), 20);
      }
    });
  }
}

const weights = (count: number) =>
  safetensorsBytes(
    { w: { dtype: "F32", shape: [count], data_offsets: [0, 4 * count] } },
    new Uint8Array(4 * count).fill(1),
  );

let server: StandIn;
let cache: ReturnType<typeof temporaryFolder>;
let options: HubOptions;

beforeEach(async () => {
  server = new StandIn();
  await server.start();
  server.files.set("config.json", Buffer.from('{"model_type":"tiny"}'));
  server.files.set("tokenizer.json", Buffer.from("{}"));
  server.files.set("model.safetensors", weights(25_000));
  server.files.set("README.md", Buffer.from("not needed"));
  cache = temporaryFolder();
  options = { endpoint: server.endpoint, cache: cache.path, delay: 5, attempts: 3 };
});

afterEach(async () => {
  await server.stop();
  cache.remove();
});

const partsIn = (folder: string) => readdirSync(folder).filter((name) => name.endsWith(".part"));

describe("parseHubSource", () => {
  test("takes owner, name and revision", () => {
    expect(parseHubSource("hf:openai-community/gpt2")).toEqual({
      owner: "openai-community",
      name: "gpt2",
      revision: "main",
    });
    expect(parseHubSource("hf:a/b.c@refs/pr/1").revision).toBe("refs/pr/1");
    expect([isHubSource("hf:a/b"), isHubSource("./a")]).toEqual([true, false]);
  });

  test.each([
    "hf:gpt2",
    "hf:a/b/c",
    "hf:../b",
    "hf:a/..",
    "hf:a/b@",
    "hf:a/b@../x",
    "hf:a/b?x",
    "hf:/b",
    "hf:a/b@x y",
  ])("refuses %s", async (source) => {
    expect(await codeOf(() => parseHubSource(source))).toBe("hub-source");
  });
});

describe("fetchFromHub", () => {
  test("fetches what a model needs, follows redirects, and keeps the token from other hosts", async () => {
    const seen: HubProgress[] = [];
    const folder = await fetchFromHub("hf:me/tiny", {
      ...options,
      token: "secret",
      onProgress: (step) => seen.push(step),
    });
    expect(folder).toBe(join(cache.path, "hub/me--tiny", commit));
    expect(readdirSync(folder).sort()).toEqual(["config.json", "model.safetensors", "tokenizer.json"]);
    expect(readFileSync(join(folder, "model.safetensors"))).toEqual(
      Buffer.from(server.files.get("model.safetensors")!),
    );
    expect(server.leaked).toBe(false);
    const size = server.files.get("model.safetensors")!.length;
    expect(seen.at(-1)).toEqual({
      file: "model.safetensors",
      index: 3,
      files: 3,
      received: size,
      total: size,
    });
    const opened = await Weights.open(folder);
    expect(opened.names()).toEqual(["w"]);
    opened.close();
  });

  test("fetches nothing twice, and works without the hub once a model is complete", async () => {
    const folder = await fetchFromHub("hf:me/tiny", options);
    server.log = [];
    expect(await fetchFromHub("hf:me/tiny", options)).toBe(folder);
    expect(server.log).toEqual(["hub /api/models/me/tiny/revision/main"]);
    expect(await fetchFromHub(`hf:me/tiny@${commit}`, options)).toBe(folder);
    expect(server.log.length).toBe(1);
    const dead = { ...options, endpoint: "http://127.0.0.1:9" };
    expect(await fetchFromHub("hf:me/tiny", dead)).toBe(folder);
    expect(await codeOf(() => fetchFromHub("hf:me/tiny@v1", dead))).toBe("hub-unreachable");
  });

  test("continues a transfer that breaks off, in the same run", async () => {
    server.cuts = [40_000, 30_000];
    server.failures = [503];
    const folder = await fetchFromHub("hf:me/tiny", options);
    const ranges = server.log.filter((line) => line.startsWith("storage")).map((line) => line.split(" ")[2]);
    expect(ranges).toEqual(["whole", "whole", "bytes=40000-", "bytes=70000-"]);
    expect(readFileSync(join(folder, "model.safetensors"))).toEqual(
      Buffer.from(server.files.get("model.safetensors")!),
    );
    expect(partsIn(folder)).toEqual([]);
  });

  test("continues in a later run, and leaves no half file under the right name", async () => {
    server.stalls = true;
    server.cuts = [50_000, 0];
    const stalled = { ...options, attempts: 1, stall: 1000 };
    expect(await codeOf(() => fetchFromHub("hf:me/tiny", stalled))).toBe("hub-unreachable");
    const folder = join(cache.path, "hub/me--tiny", commit);
    expect(partsIn(folder)).toEqual(["model.safetensors.part"]);
    expect(existsSync(join(folder, "model.safetensors"))).toBe(false);
    server.log = [];
    server.cuts = [];
    await fetchFromHub("hf:me/tiny", options);
    expect(server.log.filter((line) => line.startsWith("storage"))).toEqual([
      "storage model.safetensors bytes=50000-",
    ]);
    expect(partsIn(folder)).toEqual([]);
  });

  test("starts over where the server ignores ranges, or the part is not the file's", async () => {
    server.ranges = false;
    server.cuts = [1000];
    const folder = await fetchFromHub("hf:me/tiny", options);
    const good = Buffer.from(server.files.get("model.safetensors")!);
    expect(readFileSync(join(folder, "model.safetensors"))).toEqual(good);

    server.ranges = true;
    for (const wrong of [
      Buffer.alloc(500, 7),
      Buffer.alloc(good.length, 7),
      Buffer.alloc(good.length + 9, 7),
      good,
    ]) {
      rmSync(cache.path, { recursive: true });
      await fetchFromHub("hf:me/tiny", options);
      rmSync(join(cache.path, "hub/me--tiny/refs"), { recursive: true });
      rmSync(join(folder, "model.safetensors"));
      writeFileSync(join(folder, "model.safetensors.part"), wrong);
      await fetchFromHub("hf:me/tiny", options);
      expect(readFileSync(join(folder, "model.safetensors"))).toEqual(good);
    }
  });

  test("gives up on a server that sends the same beginning again and again", async () => {
    server.ranges = false;
    server.cuts = Array.from({ length: 100 }, (_, index) => 1000 + (index % 2));
    expect(await codeOf(() => fetchFromHub("hf:me/tiny", options))).toBe("hub-unreachable");
    expect(server.cuts.length).toBeGreaterThan(90);
  });

  test("refuses content that is not what the hub describes", async () => {
    const content = Uint8Array.from(server.files.get("model.safetensors")!);
    content[content.length - 1]! ^= 1;
    server.replaced.set("model.safetensors", content);
    expect(await codeOf(() => fetchFromHub("hf:me/tiny", options))).toBe("hub-corrupt");
    const folder = join(cache.path, "hub/me--tiny", commit);
    expect(readdirSync(folder).sort()).toEqual(["config.json", "tokenizer.json"]);
    server.replaced.set("model.safetensors", Buffer.concat([content, Buffer.alloc(10)]));
    expect(await codeOf(() => fetchFromHub("hf:me/tiny", options))).toBe("hub-corrupt");
    expect(existsSync(join(folder, "model.safetensors"))).toBe(false);
  });

  test("fetches nothing without an end: neither size nor digest, too large, or slower than any line", async () => {
    const good = server.files.get("config.json")!;
    const folder = join(cache.path, "hub/me--tiny", commit);
    server.silent = "nothing";
    expect(await codeOf(() => fetchFromHub("hf:me/tiny", options))).toBe("hub-unsized");
    expect(readdirSync(folder)).toEqual([]);

    const large = Buffer.alloc((16 << 20) + 1, 0x20);
    server.files.set("config.json", large);
    for (const silent of ["no size", undefined] as const) {
      server.silent = silent;
      expect(await codeOf(() => fetchFromHub("hf:me/tiny", options))).toBe("hub-file-too-large");
      expect(readdirSync(folder)).toEqual([]);
    }
    server.files.set("config.json", large.subarray(1));
    server.files.set("tokenizer.json", large);
    await fetchFromHub("hf:me/tiny", options);
    server.files.set("config.json", good);
    rmSync(cache.path, { recursive: true });
    server.silent = "no size";
    await fetchFromHub("hf:me/tiny", options);

    rmSync(cache.path, { recursive: true });
    server.silent = undefined;
    server.trickle = 10;
    const slow = { ...options, stall: 300 };
    await expect(fetchFromHub("hf:me/tiny", slow)).rejects.toMatchObject({
      code: "hub-unreachable",
      message: expect.stringMatching(/no more than \d+ bytes arrived for 0.3 s/),
    });
    expect(server.log.filter((line) => line.startsWith("storage"))).toHaveLength(1 + 3);
  });

  test("fetches the shards that an index names, and refuses one that leaves the folder", async () => {
    server.files.delete("model.safetensors");
    const name = "model-00001-of-00001.safetensors";
    server.files.set(name, weights(10));
    const index = (shard: string) => Buffer.from(JSON.stringify({ weight_map: { w: shard } }));
    server.files.set("model.safetensors.index.json", index("../../../../evil.safetensors"));
    expect(await codeOf(() => fetchFromHub("hf:me/tiny", options))).toBe("index-shard-name");
    expect(server.log.some((line) => line.includes("evil"))).toBe(false);
    rmSync(cache.path, { recursive: true });
    server.files.set("model.safetensors.index.json", index(name));
    const folder = await fetchFromHub("hf:me/tiny@refs/pr/1", options);
    const opened = await Weights.open(folder);
    expect(opened.require("w").file).toBe(join(folder, name));
    opened.close();
  });

  test("says what is wrong with a model, a revision or an account", async () => {
    const code = (source: string, more: HubOptions = {}) =>
      codeOf(() => fetchFromHub(source, { ...options, ...more }));
    expect(await code("hf:nobody/nothing")).toBe("hub-not-found");
    expect(await code("hf:me/tiny@none")).toBe("hub-revision-missing");
    expect(await code("hf:me/gated")).toBe("hub-forbidden");
    await expect(fetchFromHub("hf:me/gated", options)).rejects.toMatchObject({
      hint: expect.stringMatching(/set HF_TOKEN/),
    });
    server.token = "secret";
    const refused = fetchFromHub("hf:me/gated", { ...options, token: "secret" });
    await expect(refused).rejects.toMatchObject({
      code: "hub-forbidden",
      hint: expect.stringMatching(/belongs to/),
    });
    server.files.delete("model.safetensors");
    expect(await code("hf:me/tiny")).toBe("hub-not-a-model");
    server.files.delete("config.json");
    expect(await code("hf:me/tiny")).toBe("hub-not-a-model");
    expect(await code("hf:me/tiny", { endpoint: "nowhere" })).toBe("hub-endpoint");
  });

  test("an unreachable hub is an error of the environment that says how to do without", async () => {
    const dead = fetchFromHub("hf:me/tiny", { ...options, endpoint: "http://127.0.0.1:9" });
    await expect(dead).rejects.toMatchObject({
      category: "environment",
      code: "hub-unreachable",
      hint: expect.stringMatching(/name its folder as `source`/),
    });
  });

  test("an answer that is no hub's is refused", async () => {
    const page = createServer((_, response) => response.end("<html>log in</html>"));
    await new Promise<void>((done) => page.listen(0, "127.0.0.1", done));
    const endpoint = `http://127.0.0.1:${(page.address() as AddressInfo).port}`;
    expect(await codeOf(() => fetchFromHub("hf:me/tiny", { ...options, endpoint }))).toBe("hub-response");
    page.close();
  });

  test("a cache that cannot be written is named", async () => {
    const file = cache.write("file", "");
    const failed = fetchFromHub("hf:me/tiny", { ...options, cache: file });
    await expect(failed).rejects.toMatchObject({ category: "environment", code: "file-unwritable" });
  });
});
