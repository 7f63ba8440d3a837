/** A built model behind OpenAI's interface: routes, and what a request goes through. */

import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { ChatTemplate } from "../chat.js";
import type { Batch, Model } from "../load.js";
import { Admission } from "./admission.js";
import { type AnswerKind, answerEvents, answerHead, wholeAnswer } from "./answers.js";
import { addChatPage } from "./chat-page.js";
import {
  type EmbeddingsRequest,
  embeddingsAnswer,
  embeddingsSchema,
  requireEmbeddings,
} from "./embeddings.js";
import { Encoding } from "./encoding.js";
import { CommonEnd } from "./ends.js";
import { ApiError } from "./errors.js";
import { eventStream } from "./event-stream.js";
import { clientGone, Front, type Guards, localGuards } from "./front.js";
import { generatePieces, type Piece, type Prompt } from "./generation.js";
import { type Grammar, type GrammarSpec, Grammars } from "./grammars.js";
import { messagesOf } from "./messages.js";
import { Metrics } from "./metrics.js";
import { requireId, requireModel, requireRoom } from "./model-checks.js";
import {
  type ChatRequest,
  type CompletionRequest,
  chatSchema,
  chatTemplateMissing,
  completionSchema,
  refuseUnsupported,
  textsOf,
} from "./requests.js";
import { formatGrammarOf } from "./response-format.js";
import { requireFewChoices, type Settings, settingsOf } from "./settings.js";
import { addTokenRoutes } from "./token-routes.js";
import { type ToolFormat, toolFormatOf } from "./tool-calls.js";
import { grammarOf, toolUseOf } from "./tools.js";

/** What is served. */
interface Served {
  readonly model: Model;
  /** Null: there is no chat. */
  readonly chat: ChatTemplate | null;
  /** In which all requests are written, in the mode that is served. */
  readonly batch: Batch;
  /** What the batch was opened in. */
  readonly mode: string;
  /** Of the model; it goes into every answer. */
  readonly fingerprint: string;
  /** When it was built, in seconds since 1970. */
  readonly created: number;
}

/** What a server allows. */
export interface ServeLimits {
  /** Requests that generate at once; they share passes over the weights. */
  readonly concurrency: number;
  /** Requests that wait; more are told to come back. */
  readonly queue: number;
  /** Most tokens of a choice, and of all choices of a request together. */
  readonly maxTokens: number;
  readonly maxTotal: number;
  /** Seconds that a request may take once it has its turn. */
  readonly time: number;
  /** Bytes of a request. */
  readonly maxBody: number;
  /** Seconds for which a reader may take nothing. */
  readonly stall: number;
}

/** Who asks. */
interface Client {
  /** Aborted when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
  /** Aborts it. */
  readonly leave: (reason: Error) => void;
}

/** What a request asks for. */
interface Asked {
  readonly prompts: readonly Prompt[];
  readonly settings: Settings;
  readonly stream: boolean;
  readonly client: Client;
  /** What the text must obey; null: anything. */
  readonly grammar: GrammarSpec | null;
  /** How calls of tools are written; null: there are no tools. */
  readonly tools: ToolFormat | null;
}

/** Seconds that the texts of a request may take to be turned into ids: a hundred times what any need. */
const encodingSeconds = 10;

/** A server that is not listening yet. */
export class ModelServer {
  readonly app: FastifyInstance;
  readonly #served: Served;
  readonly #limits: ServeLimits;
  readonly #admission: Admission;
  readonly #encoding: Encoding;
  readonly #metrics: Metrics;
  readonly #front: Front;
  readonly #grammars: Grammars;
  /** Aborted: what still runs is ended. */
  readonly #ended = new CommonEnd();

  constructor(served: Served, limits: ServeLimits, guards: Partial<Guards> = {}) {
    this.#served = served;
    this.#limits = limits;
    this.#admission = new Admission(limits);
    this.#encoding = new Encoding({ waiting: limits.queue + limits.concurrency, seconds: encodingSeconds });
    this.#grammars = new Grammars(served);
    this.#metrics = new Metrics(this.#admission);
    this.#metrics.watchBatch(served.batch);
    this.#front = new Front(limits.maxBody, { ...localGuards, ...guards }, this.#metrics);
    this.app = this.#front.app;
    this.#addRoutes();
  }

  /** Takes no more requests, and lets those that run end; after `grace` seconds, or when `now` is aborted, ends them. */
  async stop(grace: number, now: AbortSignal): Promise<void> {
    this.#admission.close();
    const stopping = new ApiError(503, "the server stops", { code: "stopping" });
    await this.#front.stop(grace, now, () => this.#ended.reach(stopping));
    this.#grammars.close();
  }

  #addRoutes(): void {
    const { app } = this;
    app.post<{ Body: CompletionRequest }>(
      "/v1/completions",
      { schema: { body: completionSchema } },
      (request, reply) => this.#complete(request, reply),
    );
    app.post<{ Body: ChatRequest }>(
      "/v1/chat/completions",
      { schema: { body: chatSchema } },
      (request, reply) => this.#chat(request, reply),
    );
    app.post<{ Body: EmbeddingsRequest }>(
      "/v1/embeddings",
      { schema: { body: embeddingsSchema } },
      (request, reply) => this.#embed(request, reply),
    );
    const { model, mode, chat } = this.#served;
    const { name, context } = model.info;
    addChatPage(app, { model: name, mode, chat: chat !== null, context });
    addTokenRoutes(app, {
      model,
      chat,
      encode: (param, reply, work) => this.#encoding.run(param, this.#clientOf(reply).signal, work),
    });
    app.get("/v1/models", () => ({ object: "list", data: [this.#modelObject()] }));
    app.get<{ Params: { id: string } }>("/v1/models/:id", ({ params }) => {
      requireModel(model, params.id);
      return this.#modelObject();
    });
    app.get("/health", { config: { open: true } }, (_, reply) => {
      const { stopping } = this.#front;
      return reply.code(stopping ? 503 : 200).send({ status: stopping ? "stopping" : "ok" });
    });
    app.get("/metrics", async (_, reply) =>
      reply.type(this.#metrics.registry.contentType).send(await this.#metrics.registry.metrics()),
    );
  }

  async #complete({ body }: FastifyRequest<{ Body: CompletionRequest }>, reply: FastifyReply) {
    requireModel(this.#served.model, body.model);
    refuseUnsupported(body, completionSchema);
    const settings = settingsOf(body);
    const given = textsOf(body.prompt);
    requireFewChoices(given.length, settings);
    const client = this.#clientOf(reply);
    const special = body.parse_special === true;
    const prompts = await this.#encodeAll("prompt", client, { given, special });
    const stream = body.stream === true;
    const grammar = formatGrammarOf(body);
    return this.#answer("completion", { prompts, settings, stream, client, grammar, tools: null }, reply);
  }

  async #chat({ body }: FastifyRequest<{ Body: ChatRequest }>, reply: FastifyReply) {
    requireModel(this.#served.model, body.model);
    refuseUnsupported(body, chatSchema);
    const settings = settingsOf(body);
    const { model, chat } = this.#served;
    if (chat === null) throw chatTemplateMissing(model.info.name);
    const use = toolUseOf(body, toolFormatOf(chat.source));
    const grammar = grammarOf(formatGrammarOf(body), use);
    const client = this.#clientOf(reply);
    const ids = await this.#encoding.run("messages", client.signal, (signal) =>
      chat.encode(model, messagesOf(body.messages), { signal, tools: use?.tools }),
    );
    const asked = { settings, stream: body.stream === true, client, grammar, tools: use?.format ?? null };
    return this.#answer("chat", { ...asked, prompts: [{ ids }] }, reply);
  }

  async #embed({ body }: FastifyRequest<{ Body: EmbeddingsRequest }>, reply: FastifyReply) {
    requireModel(this.#served.model, body.model);
    refuseUnsupported(body, embeddingsSchema);
    const { model } = this.#served;
    requireEmbeddings(model, body);
    const client = this.#clientOf(reply);
    const texts = await this.#encodeAll("input", client, { given: textsOf(body.input), special: false });
    const ids = texts.map((text) => text.ids);
    for (const one of ids) requireRoom(model, one, "input");
    const leave = this.#within(client, await this.#admission.enter(client.signal));
    try {
      const answer = await embeddingsAnswer(model, { ids, body, signal: client.signal });
      const { prompt_tokens: tokens } = answer.usage;
      this.#metrics.promptTokens.inc(tokens);
      this.#front.log.add(reply.request, { prompt_tokens: tokens });
      return answer;
    } finally {
      leave();
    }
  }

  /** Texts of a field as ids; what is ids already stays. */
  #encodeAll(
    param: string,
    client: Client,
    { given, special }: { readonly given: ReturnType<typeof textsOf>; readonly special: boolean },
  ): Promise<Prompt[]> {
    const { model } = this.#served;
    return this.#encoding.run(param, client.signal, async (signal) => {
      const encoded: Prompt[] = [];
      for (const one of given)
        if (typeof one === "string")
          encoded.push({ ids: await model.encode(one, { special, signal }), text: one });
        else encoded.push({ ids: one });
      return encoded;
    });
  }

  /** What ends a request's work: its client goes, or is sent away, or the server stops. */
  #clientOf(reply: FastifyReply): Client {
    const left = new AbortController();
    const forget = this.#ended.reaches(left);
    const gone = () => {
      forget();
      left.abort(new ApiError(clientGone, "the client has gone"));
    };
    if (reply.raw.destroyed) gone();
    reply.raw.once("close", gone);
    return {
      signal: left.signal,
      leave: (reason) => left.abort(reason),
    };
  }

  /** Waits for a turn, generates, and answers in one piece or in events. The turn ends with the pieces. */
  async #answer(kind: AnswerKind, request: Asked, reply: FastifyReply): Promise<object> {
    const { prompts, settings, stream, client, tools } = request;
    const { signal } = client;
    const { model, fingerprint } = this.#served;
    for (const { ids } of prompts) requireRoom(model, ids, kind === "chat" ? "messages" : "prompt");
    for (const id of settings.sampling.bias.keys()) requireId(model, id, "logit_bias");
    const left = this.#within(client, await this.#admission.enter(signal));
    const grammar = await this.#compile(request, left);
    const leave = () => {
      left();
      grammar?.close();
    };
    const promptTokens = prompts.reduce((sum, { ids }) => sum + ids.length, 0);
    this.#metrics.promptTokens.inc(promptTokens);
    this.#front.log.add(reply.request, { prompt_tokens: promptTokens });
    const pieces = this.#pieces(request, { grammar, leave }, reply);
    const head = answerHead(kind, model.info.name, fingerprint);
    const parts = { kind, head, model, promptTokens, logprobs: settings.logprobs !== null, tools };
    if (!stream) return wholeAnswer(parts, pieces);
    const events = answerEvents(parts, pieces, settings);
    const body = eventStream(events, {
      stall: this.#limits.stall,
      abort: (reason) => {
        client.leave(reason);
        reply.raw.destroy();
      },
      failed: (error) => this.#front.log.failed(reply.request, error),
    });
    // A client may go before the first event is asked for: nothing is generated then, and nothing gives the turn back.
    body.once("close", leave);
    return reply.type("text/event-stream").header("cache-control", "no-cache").send(body);
  }

  /** The grammar of a request that has its turn; gives the turn back if there is an error. */
  async #compile({ grammar, client }: Asked, leave: () => void): Promise<Grammar | null> {
    try {
      const compiled = grammar === null ? null : await this.#grammars.compile(grammar);
      if (client.signal.aborted) compiled?.close();
      client.signal.throwIfAborted();
      return compiled;
    } catch (error) {
      leave();
      throw error;
    }
  }

  /** Ends a request that takes too long; the result gives the turn back, and forgets the time. */
  #within(client: Client, leave: () => void): () => void {
    const { time } = this.#limits;
    const message = `the request took longer than ${time} s, which is this server's limit`;
    const late = () => client.leave(new ApiError(503, message, { code: "timeout" }));
    const timer = setTimeout(late, 1000 * time);
    return () => {
      clearTimeout(timer);
      leave();
    };
  }

  async *#pieces(
    { prompts, settings, client }: Asked,
    { grammar: compiled, leave }: { grammar: Grammar | null; leave: () => void },
    reply: FastifyReply,
  ): AsyncGenerator<Piece, void> {
    const { model, batch, chat } = this.#served;
    const endIds = chat?.endIds ?? new Set<number>();
    const { maxTokens: most, maxTotal: mostTogether } = this.#limits;
    const grammar = compiled && (() => compiled.begin());
    const generation = { model, batch, endIds, prompts, settings, grammar, most, mostTogether };
    let first = true;
    let generated = 0;
    try {
      for await (const piece of generatePieces(generation, client.signal)) {
        if (first && piece.tokens > 0) {
          this.#metrics.firstToken.observe(reply.elapsedTime / 1000);
          first = false;
        }
        this.#metrics.generatedTokens.inc(piece.tokens);
        generated += piece.tokens;
        yield piece;
      }
    } finally {
      leave();
      this.#front.log.add(reply.request, { generated_tokens: generated });
    }
  }

  #modelObject(): object {
    const { model, created } = this.#served;
    return { id: model.info.name, object: "model", created, owned_by: "gsic" };
  }
}
