/** Helpers of the tests of linears that hosts run one by one. */

import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Mode } from "../ir/program.js";
import { temporaryFolder } from "./fixtures.js";
import { gaussian, testProgram } from "./kernels.js";

const run = promisify(execFile);

/** A linear as `gsic_linears_describe` tells it. */
export interface DescribedLinear {
  readonly call: number;
  readonly d: number;
  readonly out: number;
  readonly column: number;
  readonly width: number;
  readonly first: number;
  readonly bias: boolean;
  readonly name: string;
  readonly tensor: string;
}

/** What runs a bundle's linears. */
export interface LinearsHost {
  readonly bundle: string;
  readonly target: { readonly name: string };
  readonly mode: Mode;
  readonly environment?: Readonly<Record<string, string>>;
}

/** The linears of a bundle in the order in which the C interface lists them. */
export async function describeLinears({
  bundle,
  target,
  mode,
  environment = {},
}: LinearsHost): Promise<DescribedLinear[]> {
  const env = { ...process.env, ...environment };
  const { stdout } = await run(await testProgram("linears"), [bundle, target.name, mode], { env });
  return stdout
    .trimEnd()
    .split("\n")
    .map((line) => {
      const [call, d, out, column, width, first, bias, name, tensor] = line.split(" ");
      const numbers = { call: +call!, d: +d!, out: +out!, column: +column!, width: +width!, first: +first! };
      return { ...numbers, bias: bias === "1", name: name!, tensor: tensor! };
    });
}

/** Random inputs of every call, [columns, d] each. */
export function randomInputs(linears: readonly DescribedLinear[], columns: number): Float32Array[] {
  const calls = linears.filter(({ column }) => column === 0);
  return calls.map(({ call, d }) => {
    const random = gaussian(7 + call);
    return Float32Array.from({ length: columns * d }, random);
  });
}

/** y of every linear by name, [columns, out], computed through the C interface in pieces of columns. */
export async function runLinears(
  { bundle, target, mode, environment = {} }: LinearsHost,
  linears: readonly DescribedLinear[],
  inputs: readonly Float32Array[],
  { chunks = [16], threads = 1 }: { chunks?: readonly number[]; threads?: number } = {},
): Promise<ReadonlyMap<string, Float32Array>> {
  const folder = await temporaryFolder();
  const [from, to] = [join(folder, "x"), join(folder, "y")];
  await writeFile(from, Buffer.concat(inputs.map((one) => new Uint8Array(one.buffer))));
  const args = [bundle, target.name, mode, String(threads), chunks.join(), from, to];
  await run(await testProgram("linears"), args, { env: { ...process.env, ...environment } });
  const all = new Float32Array(Uint8Array.from(await readFile(to)).buffer);
  const columns = inputs[0]!.length / linears[0]!.d;
  const found = new Map<string, Float32Array>();
  let begin = 0;
  for (const { column, width, out, name } of linears) {
    const at = column === 0 ? begin : begin - columns * width;
    if (column === 0) begin += columns * width;
    const y = Float32Array.from(
      { length: columns * out },
      (_, i) => all[at + Math.floor(i / out) * width + column + (i % out)]!,
    );
    found.set(name, y);
  }
  return found;
}
