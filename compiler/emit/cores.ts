import { blockSizes } from "../ir/graph.js";
import type { Quantizer } from "../ir/plan.js";
import type { Core } from "../ir/program.js";
import type { QuantizedSource, WeightSource } from "../ir/steps.js";
import { shapeOf } from "../layout/shape.js";
import type { Operands } from "./operands.js";

/** Rows of GGUF's block types that are as long as this have a core of their own: kLongRow of templates/include/gsic/blocks.h. */
const longRow = 2048;
/** Rows that are no longer than this have a core for their length: kSegment of gsic/tiles.h. */
const shortRow = 576;

/** The cores that products with a kernel's matrices on a CPU are linked with; each once. */
export function coresOf({ slots }: Operands): readonly Core[] {
  const all = slots.flatMap(({ operand }) => (operand.kind === "weight" ? coresFor(operand.source) : []));
  return eachOnce(all);
}

function eachOnce(cores: readonly Core[]): readonly Core[] {
  return [...new Map(cores.map((core) => [core.name, core])).values()];
}

/** The cores that products with matrices at few bits are linked with; each once. */
export function dotCoresOf(quantizers: readonly Quantizer[]): readonly Core[] {
  return eachOnce(quantizers.flatMap(dots));
}

function coresFor(source: WeightSource): readonly Core[] {
  return "quantizer" in source ? dots(source.quantizer) : [plain(source)];
}

function dots({ bits, symmetric }: Quantizer): Core[] {
  return [
    core("activations", "ActivationCore", ["gsic::kDotBlock"], "activations"),
    core("dots", "DotCore", [String(bits), String(symmetric)], `dots_${bits}${symmetric ? "" : "_zeros"}`),
  ];
}

function plain(source: Exclude<WeightSource, QuantizedSource>): Core {
  const { dtype, d, coded } = shapeOf(source);
  const type = `gsic::${dtype}`;
  const blocks = d <= shortRow ? Math.ceil(d / 32) : 0;
  if (coded !== undefined) return core("coded", "CodedCore", [String(blocks)], `coded_${dtype}_${blocks}`);
  if (blockSizes[dtype].elements === 1)
    return core("tiles", "TileCore", [type, String(blocks)], `tiles_${dtype}_${blocks}`);
  const long = d >= longRow;
  const name = `blocks_${dtype}_${long ? "long" : blocks}`;
  return core("blocks", "BlockCore", [type, String(blocks), String(long)], name);
}

/** Instantiates a class template of templates/include/gsic/cores. */
function core(header: string, template: string, parameters: readonly string[], name: string): Core {
  const source = `#include "gsic/cores/${header}.h"\ntemplate struct gsic::${template}<${parameters.join(", ")}>;\n`;
  return { name, source };
}
