import type { ElementType } from "../ir/graph.js";

/** The C++ type of a matrix's elements on a CPU: a class of templates/include/gsic/weights.h, blocks.h or coded.h. */
export function elementType({ dtype, coded, ordered }: ElementType): string {
  if (ordered) return `ordered<${dtype}>`;
  return coded === undefined ? dtype : `coded_${dtype}<${coded}>`;
}

/** The type of a matrix's elements within a symbol. */
export function elementName({ dtype, coded, ordered }: ElementType): string {
  if (ordered) return `ordered_${dtype}`;
  return coded === undefined ? dtype : `coded_${dtype}`;
}
