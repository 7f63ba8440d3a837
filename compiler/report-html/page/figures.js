/** The data of the page, and figures that fit their width. */

/** @type {PageData} */
const data = JSON.parse(/** @type {HTMLElement} */ (document.getElementById("data")).textContent ?? "");

/** Elements that the page always has. @param {string} id */
function element(id) {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no ${id}`);
  return found;
}

/** @param {string} tag @param {string} text @param {Record<string, string>} attributes */
function make(tag, text = "", attributes = {}) {
  const made = document.createElement(tag);
  made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

/** @param {number} bytes */
function bytesText(bytes) {
  const [unit, factor] =
    bytes >= 1e9 ? ["GB", 1e9] : bytes >= 1e6 ? ["MB", 1e6] : bytes >= 1e3 ? ["kB", 1e3] : ["B", 1];
  return `${factor === 1 ? bytes : (bytes / factor).toFixed(1)} ${unit}`;
}

/** @param {number} value */
function secondsText(value) {
  if (value >= 1) return `${value.toPrecision(3)} s`;
  return value >= 1e-3 ? `${(1e3 * value).toPrecision(3)} ms` : `${(1e6 * value).toPrecision(3)} us`;
}

/** @param {number} share */
function percentText(share) {
  return `${(100 * share).toFixed(1)} %`;
}

/** Where a value stands, for people. @param {{ layer: number | null, part: string }} node */
function placeText({ layer, part }) {
  return layer === null ? part : `layer ${layer}, ${part}`;
}

/** Styles of all plots; colours are those of the page. */
const plotStyle = {
  background: "none",
  color: "inherit",
  fontSize: "12px",
  fontFamily: "inherit",
  overflow: "visible",
};

/** @type {Map<HTMLElement, (width: number) => void>} */
const drawings = new Map();

const observer = new ResizeObserver((entries) => {
  for (const { target } of entries) redraw(/** @type {HTMLElement} */ (target));
});

/** @param {HTMLElement} figure */
function redraw(figure) {
  const width = Math.floor(figure.clientWidth);
  if (width > 0) drawings.get(figure)?.(width);
}

/**
 * Draws a plot into a figure, now and whenever its width changes; does nothing where the page has no such figure.
 * @param {string} id
 * @param {string} title
 * @param {(width: number) => Element} plot
 */
function draw(id, title, plot) {
  const figure = document.getElementById(id);
  if (figure === null) return;
  let drawn = 0;
  drawings.set(figure, (width) => {
    if (width === drawn) return;
    drawn = width;
    const made = plot(width);
    made.setAttribute("role", "img");
    made.setAttribute("aria-label", title);
    figure.replaceChildren(make("figcaption", title), made);
  });
  redraw(figure);
  observer.observe(figure);
}
