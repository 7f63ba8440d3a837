/** Asking the server, and reading its answer as it comes. */

/**
 * Parts of the answer to a conversation. Throws an Error with the server's reason, or the signal's.
 * @param {readonly Message[]} messages
 * @param {ChatSettings} settings
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<AnswerPart, void>}
 */
async function* askServer(messages, settings, signal) {
  const response = await fetch(served.chat ? "v1/chat/completions" : "v1/completions", {
    method: "POST",
    headers: {
      "content-type": "application/json",
      ...(settings.key === "" ? {} : { authorization: `Bearer ${settings.key}` }),
    },
    body: JSON.stringify(requestOf(messages, settings)),
    signal,
  });
  if (!response.ok || response.body === null) throw new Error(await reasonOf(response));
  const decoder = new TextDecoder();
  for await (const data of eventsOf(response.body)) {
    if (data === "[DONE]") return;
    const event = JSON.parse(data);
    if (event.error) throw new Error(event.error.message);
    yield partOf(event, decoder);
  }
  throw new Error("the connection was closed before the answer's end");
}

/**
 * @param {readonly Message[]} messages
 * @param {ChatSettings} settings
 */
function requestOf(messages, settings) {
  const { system, temperature, topP, maxTokens, seed, alternatives } = settings;
  const shared = {
    model: served.model,
    stream: true,
    stream_options: { include_usage: true },
    temperature,
    top_p: topP,
    ...(seed === null ? {} : { seed }),
  };
  if (!served.chat)
    return {
      ...shared,
      prompt: messages.map(({ text }) => text).join(""),
      max_tokens: maxTokens ?? served.context,
      ...(alternatives ? { logprobs: 5 } : {}),
    };
  const instructions = system.trim() === "" ? [] : [{ role: "system", content: system }];
  return {
    ...shared,
    messages: [...instructions, ...messages.map(({ role, text }) => ({ role, content: text }))],
    ...(maxTokens === null ? {} : { max_tokens: maxTokens }),
    ...(alternatives ? { logprobs: true, top_logprobs: 5 } : {}),
  };
}

/** @param {Response} response */
async function reasonOf(response) {
  const text = await response.text();
  try {
    return JSON.parse(text).error.message;
  } catch {
    return `the server answers with status ${response.status}`;
  }
}

/**
 * The data of server-sent events.
 * @param {ReadableStream<Uint8Array>} body
 * @returns {AsyncGenerator<string, void>}
 */
async function* eventsOf(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let held = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      held += decoder.decode(value, { stream: true });
      const events = held.split("\n\n");
      held = events.pop() ?? "";
      for (const event of events) if (event.startsWith("data: ")) yield event.slice("data: ".length);
    }
  } finally {
    // One that has failed cannot be cancelled, and need not be.
    await reader.cancel().catch(() => {});
  }
}

/**
 * @param {any} event
 * @param {TextDecoder} decoder of the answer's bytes: a character may come in several tokens
 * @returns {AnswerPart}
 */
function partOf(event, decoder) {
  const choice = event.choices[0];
  const usage = event.usage ? { usage: event.usage } : {};
  if (choice === undefined) return { text: "", tokens: [], ...usage };
  const finish = choice.finish_reason ? { finish: choice.finish_reason } : {};
  const text = choice.delta?.content ?? choice.text ?? "";
  return { text, tokens: tokensOf(choice, decoder), ...usage, ...finish };
}

/**
 * @param {any} choice
 * @param {TextDecoder} decoder
 * @returns {ShownToken[]}
 */
function tokensOf({ logprobs }, decoder) {
  if (!logprobs) return [];
  if (logprobs.content)
    return logprobs.content.map((/** @type {any} */ one) => ({
      text: decoder.decode(Uint8Array.from(one.bytes), { stream: true }),
      logprob: one.logprob,
      top: one.top_logprobs,
    }));
  return logprobs.tokens.map((/** @type {string} */ token, /** @type {number} */ i) => ({
    text: decoder.decode(bytesOf(token), { stream: true }),
    logprob: logprobs.token_logprobs[i],
    top: Object.entries(logprobs.top_logprobs[i]).map(([token, logprob]) => ({ token, logprob })),
  }));
}

/**
 * A token's bytes; those that are no text are written as `bytes:\xe2\x80`.
 * @param {string} token
 */
function bytesOf(token) {
  const spelled = /^bytes:((?:\\x[0-9a-f]{2})+)$/.exec(token)?.[1];
  if (spelled === undefined) return new TextEncoder().encode(token);
  return Uint8Array.from(spelled.slice(2).split("\\x"), (byte) => Number.parseInt(byte, 16));
}
