/** Sending, stopping, repeating. */

const composer = find("#composer", HTMLFormElement);
const input = find("#text", HTMLTextAreaElement);
const sendButton = find("#send", HTMLButtonElement);
const stopButton = find("#stop", HTMLButtonElement);
const statusLine = find("#status", HTMLElement);

/** What ends the answer that comes; null: none comes. @type {AbortController | null} */
let running = null;

/**
 * For those who listen to the page.
 * @param {string} text
 */
function tell(text) {
  statusLine.textContent = text;
}

/** Asks for what comes behind the last message. */
async function answer() {
  const abort = new AbortController();
  running = abort;
  sendButton.hidden = true;
  stopButton.hidden = false;
  tell("The answer begins");
  const before = [...conversation];
  const message = addMessage("assistant", "");
  const meter = new Meter();
  scrollToEnd();
  try {
    for await (const part of askServer(before, settings, abort.signal)) {
      // Events that had come already.
      abort.signal.throwIfAborted();
      const follow = isAtEnd();
      growMessage(message, part);
      meter.add(part);
      noteBelow(message, meter.text());
      if (follow) scrollToEnd();
    }
    message.state = "done";
    tell("The answer is complete");
  } catch (error) {
    message.state = abort.signal.aborted ? "stopped" : "failed";
    const reason = abort.signal.aborted ? "stopped" : String(error instanceof Error ? error.message : error);
    message.note = [reason, meter.text()].filter(Boolean).join(" · ");
    tell(reason);
  }
  // It may be gone: a conversation can be begun anew, and a message repeated, at any time.
  if (conversation.includes(message)) drawMessage(message);
  if (running !== abort) return;
  running = null;
  sendButton.hidden = false;
  stopButton.hidden = true;
}

/** What an answer took. */
class Meter {
  /** @type {number | null} */
  #first = null;
  #last = 0;
  #count = 0;
  #begun = performance.now();
  /** @type {Usage | null} */
  #usage = null;
  #finish = "";

  /** @param {AnswerPart} part */
  add({ text, tokens, usage, finish }) {
    if (usage !== undefined) this.#usage = usage;
    if (finish !== undefined) this.#finish = finish;
    if (text === "" && tokens.length === 0) return;
    this.#first ??= performance.now();
    this.#last = performance.now();
    this.#count++;
  }

  text() {
    if (this.#first === null) return "";
    const count = this.#usage?.completion_tokens ?? this.#count;
    const seconds = (this.#last - this.#first) / 1000;
    const parts = [`${count} ${count === 1 ? "token" : "tokens"}`];
    if (count > 1 && seconds > 0) parts.push(`${((count - 1) / seconds).toFixed(1)} tokens/s`);
    parts.push(`first after ${((this.#first - this.#begun) / 1000).toFixed(2)} s`);
    const drafts = this.#usage?.completion_tokens_details;
    if (drafts !== undefined) {
      const { accepted_prediction_tokens: accepted, rejected_prediction_tokens: rejected } = drafts;
      const proposed = accepted + rejected;
      parts.push(`${accepted} of ${proposed} drafts accepted (${Math.round((100 * accepted) / proposed)} %)`);
    }
    if (this.#finish === "length") parts.push("cut off at the limit");
    return parts.join(" · ");
  }
}

/**
 * @param {Message} message
 * @param {string} text
 */
function askAgain(message, text) {
  stopAnswer();
  dropFrom(message);
  addMessage("user", text);
  input.focus();
  answer();
}

/** @param {Message} message */
function repeatAnswer(message) {
  stopAnswer();
  dropFrom(message);
  input.focus();
  answer();
}

function stopAnswer() {
  running?.abort();
}

composer.addEventListener("submit", (event) => {
  event.preventDefault();
  const text = served.chat ? input.value.trim() : input.value;
  if (text === "" || running !== null) return;
  input.value = "";
  fitHeight(input);
  addMessage("user", text);
  answer();
});
input.addEventListener("input", () => fitHeight(input));
input.addEventListener("keydown", (event) => {
  // Enter also ends the composition of a character.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  composer.requestSubmit();
});
stopButton.addEventListener("click", () => {
  stopAnswer();
  input.focus();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !dialog.open) stopAnswer();
});
find("#new", HTMLButtonElement).addEventListener("click", () => {
  stopAnswer();
  if (conversation[0] !== undefined) dropFrom(conversation[0]);
  input.focus();
});
