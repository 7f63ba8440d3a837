/** How likely each token was: a tint, and on request what else might have stood there. */

const panel = find("#alternatives", HTMLElement);

/**
 * Tokens as elements that show their alternatives: by pointer, by touch, and by arrow keys.
 * @param {readonly ShownToken[]} tokens
 * @param {boolean} first whether the first of them can be reached by Tab
 * @returns {HTMLElement[]}
 */
function makeTokens(tokens, first) {
  return tokens.map((token, index) => {
    const element = make("span", "token", token.text);
    // A token of certainty has no tint; one in a hundred or rarer has the strongest.
    const surprise = Math.min(1, -token.logprob / Math.log(100));
    element.style.setProperty("--surprise", (0.45 * surprise).toFixed(3));
    element.tabIndex = first && index === 0 ? 0 : -1;
    element.setAttribute("role", "button");
    element.setAttribute("aria-label", `${token.text}: ${percent(token.logprob)}`);
    element.setAttribute("aria-describedby", "alternatives");
    const show = () => showAlternatives(token, element);
    element.addEventListener("focus", show);
    element.addEventListener("click", show);
    element.addEventListener("pointerenter", (event) => {
      if (event.pointerType === "mouse") show();
    });
    element.addEventListener("pointerleave", (event) => {
      if (event.pointerType === "mouse" && document.activeElement !== element) hideAlternatives();
    });
    element.addEventListener("blur", hideAlternatives);
    return element;
  });
}

/** @param {number} logprob */
function percent(logprob) {
  const share = 100 * Math.exp(logprob);
  return `${share < 0.1 ? "< 0.1" : share.toFixed(1)} %`;
}

/**
 * @param {ShownToken} token
 * @param {HTMLElement} element
 */
function showAlternatives(token, element) {
  const head = make("tr", "", make("th", "", "token"), make("th", "", "probability"), make("th", "", "log"));
  const all = token.top.some((one) => one.logprob === token.logprob)
    ? token.top
    : [...token.top, { token: token.text, logprob: token.logprob }];
  const rows = [...all]
    .sort((a, b) => b.logprob - a.logprob)
    .map((one) => {
      const cells = [JSON.stringify(one.token).slice(1, -1), percent(one.logprob), one.logprob.toFixed(3)];
      const chosen = one.logprob === token.logprob;
      return make("tr", chosen ? "chosen" : "", ...cells.map((cell) => make("td", "", cell)));
    });
  panel.replaceChildren(make("table", "", head, ...rows));
  panel.hidden = false;
  const { left, bottom, top } = element.getBoundingClientRect();
  const { width, height } = panel.getBoundingClientRect();
  const room = document.documentElement.clientWidth - width - 8;
  panel.style.left = `${scrollX + Math.max(8, Math.min(left, room))}px`;
  const footer = find("footer", HTMLElement).getBoundingClientRect().top;
  const above = bottom + height + 8 > footer && top - height - 8 > 0;
  panel.style.top = `${scrollY + (above ? top - height - 6 : bottom + 6)}px`;
}

function hideAlternatives() {
  panel.hidden = true;
}

/**
 * Arrow keys go from token to token.
 * @param {KeyboardEvent} event
 */
function walkTokens(event) {
  const { target, key } = event;
  if (!(target instanceof HTMLElement) || !target.classList.contains("token")) return;
  const all = [...(target.closest(".body")?.querySelectorAll(".token") ?? [])];
  const steps = {
    ArrowRight: 1,
    ArrowLeft: -1,
    ArrowDown: 10,
    ArrowUp: -10,
    Home: -all.length,
    End: all.length,
  };
  const step = steps[/** @type {keyof typeof steps} */ (key)];
  if (step === undefined) return;
  event.preventDefault();
  const next = all[Math.max(0, Math.min(all.length - 1, all.indexOf(target) + step))];
  if (next instanceof HTMLElement) next.focus();
}

document.addEventListener("keydown", walkTokens);
