/**
 * node dist/compiler/calibrate/sketch-error-main.js STATS.safetensors [k ...]
 *
 * Compares bases from sketches of width 2k and 4k with the exact ones, for all inputs whose second moment the file of
 * `gsic calibrate` holds exactly. compiler/calibrate/README.md has the figures that it printed.
 */
import { readSafetensorsHeader } from "../read/safetensors.js";
import { Algebra } from "./algebra.js";
import { type SketchError, sketchErrors, sketchErrorTable } from "./sketch-error.js";
import { openStats } from "./stats-file.js";

const [file, ...list] = process.argv.slice(2);
const settings = (list.length === 0 ? [64, 256] : list.map(Number)).flatMap((k) => [
  { k, width: 2 * k },
  { k, width: 4 * k },
]);
const stats = await openStats(file!, readSafetensorsHeader(file!).metadata.get("model") ?? "");
const algebra = new Algebra();
const errors: SketchError[] = [];
for (const input of stats.inputs.keys())
  errors.push(...((await sketchErrors(stats, input, settings, algebra)) ?? []));
await algebra.close();
process.stdout.write(`${sketchErrorTable(errors)}\n`);
