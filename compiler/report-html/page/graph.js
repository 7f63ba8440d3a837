/** The view of the graph: what is shown of it, and which box is chosen. */

const graph = d3.select(/** @type {SVGSVGElement} */ (/** @type {unknown} */ (element("graph"))));
const graphView = graph.select("#graph-view");
const nodes = /** @type {SVGGElement[]} */ ([...document.querySelectorAll("#graph .node")]);
const layerFrames = /** @type {SVGGElement[]} */ ([...document.querySelectorAll("#graph .frame")]);

const zoom = /** @type {d3.ZoomBehavior<SVGSVGElement, unknown>} */ (/** @type {unknown} */ (d3.zoom()))
  .scaleExtent([0.5, 200])
  .on("zoom", ({ transform }) => {
    graphView.attr("transform", transform);
    showLayer();
  });

/** A transition, unless people asked for none. */
function moving() {
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  return still ? graph : graph.transition().duration(200);
}

/** The box of an element in the coordinates of the graph. @param {SVGGElement} shape */
function extentOf(shape) {
  const rect = /** @type {SVGRectElement} */ (shape.querySelector("rect"));
  const [x, y, width, height] = ["x", "y", "width", "height"].map((name) => Number(rect.getAttribute(name)));
  return { x: x ?? 0, y: y ?? 0, width: width ?? 0, height: height ?? 0 };
}

/** The part of the graph's coordinates that the frame shows at scale 1, letterboxes included. */
function shownAtOne() {
  const svg = /** @type {SVGSVGElement} */ (graph.node());
  const box = svg.viewBox.baseVal;
  const scale = Math.min(svg.clientWidth / box.width, svg.clientHeight / box.height);
  const [width, height] = [svg.clientWidth / scale, svg.clientHeight / scale];
  return { x: box.x - (width - box.width) / 2, y: box.y - (height - box.height) / 2, width, height };
}

/** Shows a part of the graph. @param {{ x: number, y: number, width: number, height: number }} part */
function showPart(part) {
  const all = shownAtOne();
  const scale = Math.min(all.width / part.width, all.height / part.height);
  const middle = { x: part.x + part.width / 2, y: part.y + part.height / 2 };
  const to = d3.zoomIdentity
    .translate(all.x + all.width / 2, all.y + all.height / 2)
    .scale(scale)
    .translate(-middle.x, -middle.y);
  moving().call(/** @type {any} */ (zoom.transform), to);
}

/** A column, or the upper part of it where it is too slim to read otherwise. @param {number} index */
function showColumn(index) {
  const frame = layerFrames[index];
  if (frame === undefined) return;
  const { x, y, width, height } = extentOf(frame);
  const { width: wide, height: high } = shownAtOne();
  const pad = 16;
  const fitting = Math.max(width, (height * wide) / high);
  const shown = Math.min(fitting, Math.max(width, 640));
  const part = {
    x: x - (shown - width) / 2,
    y,
    width: shown,
    height: Math.min(height, (shown * high) / wide),
  };
  showPart({ x: part.x - pad, y: part.y - pad, width: part.width + 2 * pad, height: part.height + 2 * pad });
}

/** Moves the view as little as shows a box. @param {SVGGElement} node */
function reveal(node) {
  const transform = d3.zoomTransform(/** @type {SVGSVGElement} */ (graph.node()));
  const all = shownAtOne();
  const { x, y, width, height } = extentOf(node);
  const [left, top] = transform.apply([x, y]);
  const [right, bottom] = transform.apply([x + width, y + height]);
  const by = (
    /** @type {number} */ from,
    /** @type {number} */ to,
    /** @type {number} */ least,
    /** @type {number} */ most,
  ) => (from < least ? least - from : to > most ? most - to : 0);
  const across = by(left, right, all.x, all.x + all.width);
  const down = by(top, bottom, all.y, all.y + all.height);
  if (across === 0 && down === 0) return;
  moving().call(/** @type {any} */ (zoom.translateBy), across / transform.k, down / transform.k);
}

/** @param {SVGGElement} node */
function choose(node) {
  for (const other of nodes) {
    other.setAttribute("aria-pressed", String(other === node));
    other.setAttribute("tabindex", other === node ? "0" : "-1");
  }
  showDetails(node.dataset.id ?? "");
}

/** Chooses a box by its value, and shows it. @param {string} id */
function chooseById(id) {
  const node = nodes.find(({ dataset }) => dataset.id === id);
  if (node === undefined) return;
  choose(node);
  showColumn(columnOf(node));
  node.focus({ preventScroll: true });
}

/** @param {SVGGElement} node */
function columnOf(node) {
  const { x } = extentOf(node);
  return layerFrames.findLastIndex((frame) => extentOf(frame).x <= x);
}

/** The nearest box in a direction. @param {SVGGElement} from @param {number} across @param {number} down */
function neighbour(from, across, down) {
  const middle = (/** @type {SVGGElement} */ node) => {
    const { x, y, width, height } = extentOf(node);
    return { x: x + width / 2, y: y + height / 2 };
  };
  const here = middle(from);
  const distance = (/** @type {SVGGElement} */ node) => {
    const { x, y } = middle(node);
    const along = across * (x - here.x) + down * (y - here.y);
    const aside = Math.abs(across === 0 ? x - here.x : y - here.y);
    return along <= 1 ? Number.POSITIVE_INFINITY : along + 2 * aside;
  };
  const nearest = d3.least(nodes, (a, b) => distance(a) - distance(b));
  return nearest !== undefined && distance(nearest) < Number.POSITIVE_INFINITY ? nearest : null;
}

/** @param {KeyboardEvent} event */
function onKey(event) {
  const node = /** @type {SVGGElement | null} */ (/** @type {Element} */ (event.target).closest(".node"));
  const steps = /** @type {Record<string, [number, number]>} */ ({
    ArrowLeft: [-1, 0],
    ArrowRight: [1, 0],
    ArrowUp: [0, -1],
    ArrowDown: [0, 1],
  });
  const step = steps[event.key];
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "+" || event.key === "=") zoomBy(1.5);
  else if (event.key === "-") zoomBy(1 / 1.5);
  else if (event.key === "0") showAll();
  else if (node !== null && (event.key === "Enter" || event.key === " ")) choose(node);
  else if (node !== null && step !== undefined) {
    const next = neighbour(node, ...step);
    if (next !== null) {
      choose(next);
      next.focus({ preventScroll: true });
      reveal(next);
    }
  } else return;
  event.preventDefault();
}

/** @param {number} factor */
function zoomBy(factor) {
  moving().call(/** @type {any} */ (zoom.scaleBy), factor);
}

function showAll() {
  moving().call(/** @type {any} */ (zoom.transform), d3.zoomIdentity);
}

/** Tells the layer in the middle of the view. */
function showLayer() {
  const transform = d3.zoomTransform(/** @type {SVGSVGElement} */ (graph.node()));
  const all = shownAtOne();
  const [x] = transform.invert([all.x + all.width / 2, 0]);
  const index = Math.max(
    0,
    layerFrames.findLastIndex((frame) => extentOf(frame).x <= x),
  );
  /** @type {HTMLSelectElement} */ (element("graph-layer")).selectedIndex = index;
  /** @type {HTMLButtonElement} */ (element("graph-previous")).disabled = index === 0;
  /** @type {HTMLButtonElement} */ (element("graph-next")).disabled = index === layerFrames.length - 1;
}

function setUpGraph() {
  const layer = /** @type {HTMLSelectElement} */ (element("graph-layer"));
  for (const frame of layerFrames)
    layer.append(make("option", frame.querySelector("text")?.textContent ?? ""));
  layer.addEventListener("change", () => showColumn(layer.selectedIndex));
  element("graph-previous").addEventListener("click", () => showColumn(layer.selectedIndex - 1));
  element("graph-next").addEventListener("click", () => showColumn(layer.selectedIndex + 1));
  element("graph-in").addEventListener("click", () => zoomBy(1.5));
  element("graph-out").addEventListener("click", () => zoomBy(1 / 1.5));
  element("graph-all").addEventListener("click", showAll);
  for (const node of nodes) node.addEventListener("click", () => choose(node));
  /** @type {SVGSVGElement} */ (graph.node()).addEventListener("keydown", onKey);
  graph.call(zoom).on("dblclick.zoom", null);
  const first = nodes.find((node) => node.classList.contains("linear"));
  if (first === undefined) return;
  choose(first);
  showColumn(columnOf(first));
}
