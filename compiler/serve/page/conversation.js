/** The messages: what they are, and their elements. */

/** @type {Message[]} */
const conversation = [];
const list = find("#messages", HTMLOListElement);
const empty = find("#empty", HTMLElement);

/**
 * @param {Message["role"]} role
 * @param {string} text
 * @returns {Message}
 */
function addMessage(role, text) {
  /** @type {Message} */
  const message = { role, text, tokens: [], note: "", state: role === "user" ? "done" : "running" };
  conversation.push(message);
  list.append(make("li", ""));
  drawMessage(message);
  empty.hidden = true;
  return message;
}

/**
 * Drops a message and all behind it.
 * @param {Message} message
 */
function dropFrom(message) {
  const index = conversation.indexOf(message);
  conversation.splice(index);
  while (list.children.length > index) list.lastElementChild?.remove();
  empty.hidden = conversation.length > 0;
}

/** @param {Message} message */
function elementOf(message) {
  const element = list.children[conversation.indexOf(message)];
  if (!(element instanceof HTMLElement)) throw new Error("the message has no element");
  return element;
}

/** @param {Message} message */
function drawMessage(message) {
  const element = elementOf(message);
  element.className = `message ${message.role} ${message.state}`;
  const told = message.tokens.length > 0;
  const body = make("p", "body", ...(told ? makeTokens(message.tokens, true) : [message.text]));
  const note = make("span", "note", message.note);
  element.replaceChildren(make("span", "unseen", message.role === "user" ? "You: " : "Answer: "), body);
  element.append(make("div", "below", note, ...(message.state === "running" ? [] : actionsOf(message))));
}

/**
 * What has come since the message was drawn.
 * @param {Message} message
 * @param {AnswerPart} part
 */
function growMessage(message, part) {
  const body = elementOf(message).querySelector(".body");
  const first = message.tokens.length === 0;
  message.text += part.text;
  message.tokens.push(...part.tokens);
  if (message.tokens.length > 0) body?.append(...makeTokens(part.tokens, first));
  else body?.append(part.text);
}

/**
 * @param {Message} message
 * @param {string} note
 */
function noteBelow(message, note) {
  message.note = note;
  const element = elementOf(message).querySelector(".note");
  if (element !== null) element.textContent = note;
}

/** @param {Message} message */
function actionsOf(message) {
  const edit = makeButton("Edit", () => editMessage(message));
  const copy = makeButton("Copy", () => copyText(message));
  return message.role === "user"
    ? [copy, edit]
    : [copy, edit, makeButton("Repeat", () => repeatAnswer(message))];
}

/** @param {Message} message */
async function copyText(message) {
  try {
    await navigator.clipboard.writeText(message.text);
    tell("Copied");
  } catch {
    tell("The browser does not let this page copy");
  }
}

/**
 * Lets the user change a message. A changed question is asked again, and what stood behind it goes; a changed answer
 * is what the model will believe to have said.
 * @param {Message} message
 */
function editMessage(message) {
  const element = elementOf(message);
  const area = document.createElement("textarea");
  area.className = "edit";
  area.value = message.text;
  area.setAttribute("aria-label", message.role === "user" ? "Edit the message" : "Edit the answer");
  const cancel = () => {
    drawMessage(message);
    element.querySelector("button")?.focus();
  };
  const save = () => {
    if (message.role === "user") return void (area.value.trim() !== "" && askAgain(message, area.value));
    message.text = area.value;
    message.tokens = [];
    message.note = "edited";
    cancel();
  };
  area.addEventListener("input", () => fitHeight(area));
  area.addEventListener("keydown", (event) => {
    if (event.key === "Escape") cancel();
    else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) save();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  const buttons = [makeButton(message.role === "user" ? "Send" : "Save", save), makeButton("Cancel", cancel)];
  element.replaceChildren(area, make("div", "below", ...buttons));
  fitHeight(area);
  area.focus();
}
