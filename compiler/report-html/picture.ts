import { curveBumpY, curveLinear, line } from "d3";
import Handlebars from "handlebars";
import type { Graph, Node } from "../ir/graph.js";
import { partOf } from "../ir/walk.js";
import { size } from "../support/text.js";
import type { LinearRow } from "./data.js";
import { type Box, type Column, layoutGraph, type Point } from "./layout.js";

const escaped = (text: string): string => Handlebars.Utils.escapeExpression(text);

/**
 * The rewritten graph as SVG: a frame per layer, a box per value. Boxes carry `data-id`, by which the page's scripts
 * find them; without scripts their titles say the same.
 */
export function graphSvg(graph: Graph, linears: readonly LinearRow[]): string {
  const { width, height, columns, edges } = layoutGraph(graph);
  const rows = new Map(linears.map((row) => [row.id, row]));
  const nodes = new Map(graph.nodes.map((node) => [node.id, node]));
  const parts = [
    ...columns.map(frame),
    ...edges.map(({ points, between }) => edge(points, between)),
    ...columns.flatMap(({ boxes }) =>
      boxes.map((box) => boxSvg(box, nodes.get(box.id)!, rows.get(box.id) ?? null)),
    ),
  ];
  return `<svg id="graph" viewBox="-10 -10 ${width + 20} ${height + 20}" role="group" aria-label="Graph of ${escaped(graph.name)}"><g id="graph-view">\n${parts.join("\n")}\n</g></svg>`;
}

function frame({ layer, x, y, width, height }: Column): string {
  const title = layer === null ? "model" : `layer ${layer}`;
  return `<g class="frame"><rect x="${x}" y="${y}" width="${width}" height="${height}" rx="8"/><text x="${x + 16}" y="${y + 26}">${title}</text></g>`;
}

const curved = line<Point>(
  ({ x }) => x,
  ({ y }) => y,
)
  .curve(curveBumpY)
  .digits(1);
const straight = line<Point>(
  ({ x }) => x,
  ({ y }) => y,
)
  .curve(curveLinear)
  .digits(1);

function edge(points: readonly Point[], between: boolean): string {
  return `<path class="edge${between ? " between" : ""}" d="${(between ? straight : curved)([...points])}"/>`;
}

function boxSvg({ id, x, y, width, height }: Box, node: Node, row: LinearRow | null): string {
  const lines = row === null ? otherLines(node) : linearLines(row);
  const spoken = `${nameOf(node)}: ${row === null ? node.kind : `${row.form}. ${row.verdict}`}`;
  const step = 16;
  const first = y + height / 2 - ((lines.length - 1) * step) / 2 + 4;
  const texts = lines.map(
    (text, index) =>
      `<text x="${x + width / 2}" y="${first + index * step}"${index === 0 ? ' class="name"' : ""}>${escaped(short(text))}</text>`,
  );
  const kind = row === null ? "other" : `linear ${row.kind.replace("+", "-")}`;
  return `<g class="node ${kind}" data-id="${escaped(id)}" tabindex="-1" role="button" aria-label="${escaped(spoken)}"><title>${escaped(spoken)}</title><rect x="${x}" y="${y}" width="${width}" height="${height}" rx="6"/>${texts.join("")}</g>`;
}

function linearLines({ part, shape, bytes, ...form }: LinearRow): string[] {
  const after = bytes.plan ?? bytes.fast;
  const change = after === bytes.dense ? size(bytes.dense) : `${size(bytes.dense)} → ${size(after)}`;
  return [part, formLine(form), change];
}

/** A form in the width of a box. */
function formLine({
  kind,
  k,
  bits,
  rank,
  dtype,
}: Pick<LinearRow, "kind" | "k" | "bits" | "rank" | "dtype">): string {
  if (kind === "dense") return `dense ${dtype}`;
  const parts = [
    ...(k === null ? [] : [`k = ${k}`]),
    ...(bits === null ? [] : [`${bits} bits`]),
    ...(rank === null || rank === 0 ? [] : [`rank ${rank}`]),
  ];
  return parts.join(", ");
}

function otherLines(node: Node): string[] {
  const part = partOf(node);
  return [part === node.kind ? part : `${part} (${node.kind})`];
}

function nameOf(node: Node): string {
  return node.layer === null ? node.id : `layer ${node.layer}, ${partOf(node)}`;
}

/** What fits into a box. */
function short(text: string): string {
  return text.length <= 26 ? text : `${text.slice(0, 25)}…`;
}
