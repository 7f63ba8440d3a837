import { openBuild } from "../../build-folder/open.js";
import { diffBuilds } from "../../diff/diff.js";
import { diffText } from "../../diff/text.js";
import { writeForms } from "../../ir/forms.js";
import type { Json } from "../options.js";
import { print } from "../output.js";

/** `gsic diff`. */
export function diff(first: string, second: string, options: Json): void {
  const found = diffBuilds(openBuild(first), openBuild(second));
  print(options.json ? JSON.stringify(found, writeForms) : diffText(found));
}
