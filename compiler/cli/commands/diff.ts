import type { Command } from "commander";
import { openBuild } from "../../build-folder/open.js";
import { diffBuilds } from "../../diff/diff.js";
import { diffText } from "../../diff/text.js";
import { writeForms } from "../../ir/forms.js";
import { type Json, jsonOption } from "../options.js";
import { print } from "../output.js";

/** Adds `gsic diff`. */
export function addDiff(gsic: Command): void {
  gsic
    .command("diff <first> <second>")
    .description("show what changed between two build folders: forms, bytes, quality, kernels")
    .addOption(jsonOption())
    .addHelpText("after", "\nExample: gsic diff build/before build/after")
    .action(diff);
}

/** `gsic diff`. */
function diff(first: string, second: string, options: Json): void {
  const found = diffBuilds(openBuild(first), openBuild(second));
  print(options.json ? JSON.stringify(found, writeForms) : diffText(found));
}
