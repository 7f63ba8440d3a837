/**
 * The C++ part of `npm run check`: files as .clang-format says, no file and no function longer than the budget, and no
 * warning of the compiler. Prints a line for each violation, and ends with 1 if there are any. With --fix (`npm run fix`)
 * files are formatted, and the rest is not looked at.
 */
import { packageRoot } from "../../support/paths.js";
import { formatViolations } from "./format.js";
import { lengthViolations } from "./lengths.js";
import { cppFiles } from "./sources.js";
import { warningViolations } from "./warnings.js";

const fix = process.argv[2] === "--fix";
const root = packageRoot;
const files = await cppFiles(root);
const formatted = await formatViolations(root, files, fix);
const others = fix
  ? []
  : [...(await lengthViolations(root, files)), ...(await warningViolations(root, files))];
for (const { file, line, what, next } of [...formatted, ...others]) {
  console.error(`${file}:${line}: ${what}\n  next  ${next}`);
}
if (formatted.length + others.length > 0) process.exitCode = 1;
else console.log(`C++: ${files.length} files, ${fix ? "formatted" : "nothing to say"}`);
