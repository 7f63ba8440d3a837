import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { modes } from "../config/config.js";
import { targetNames } from "../config/targets.js";
import { temporaryFolder } from "../testing/fixtures.js";
import { program } from "./cli.js";
import { completionScript, type Shell } from "./completion.js";

const names = program().commands.map((command) => command.name());
const absent = (shell: Shell): boolean => spawnSync(shell, ["--version"]).status !== 0;

/** Runs a shell with gsic's completion loaded; returns the words that it printed, one a line. */
async function runShell(shell: Shell, script: string): Promise<string[]> {
  const folder = await temporaryFolder();
  writeFileSync(join(folder, "gsic"), completionScript(shell, program()));
  writeFileSync(join(folder, "model.toml"), "");
  const { status, stdout, stderr } = spawnSync(shell, ["-c", script], { cwd: folder, encoding: "utf8" });
  expect(stderr).toBe("");
  expect(status).toBe(0);
  return stdout.split("\n").filter((line) => line !== "");
}

/** What bash completes a command line to. */
function byBash(...words: string[]): Promise<string[]> {
  const line = words.map((word) => `'${word}'`).join(" ");
  const state = `COMP_WORDS=(gsic ${line}) COMP_CWORD=${words.length}`;
  return runShell("bash", `source gsic; ${state}; _gsic; printf '%s\\n' "\${COMPREPLY[@]}"`);
}

describe("bash", () => {
  test("completes commands, options, their words, and leaves paths to itself", async () => {
    expect(await byBash("")).toEqual([...names, "--help", "--version"]);
    expect(await byBash("b")).toEqual(["build", "bench"]);
    expect(await byBash("build", "--m")).toEqual(["--mode"]);
    expect(await byBash("run", "build/x", "--mode", "ex")).toEqual(["exact"]);
    expect(await byBash("build", "--target", "")).toEqual(["cpu", ...targetNames()]);
    expect(await byBash("completion", "z")).toEqual(["zsh"]);
    expect(await byBash("build", "mod")).toEqual([]);
    const fallback = "source gsic; complete -p gsic";
    expect(await runShell("bash", fallback)).toEqual(["complete -o bashdefault -o default -F _gsic gsic"]);
  });

  test("runs nothing that stands on the command line", async () => {
    expect(await byBash("build", "$(touch ran)", "--m")).toEqual(["--mode"]);
    expect(
      await runShell("bash", "source gsic; COMP_WORDS=(gsic '`touch ran`') COMP_CWORD=1; _gsic; ls"),
    ).toEqual(["gsic", "model.toml"]);
  });
});

test.skipIf(absent("zsh"))("zsh (skipped where there is none) takes the script", async () => {
  const load = "autoload -Uz compinit && compinit -u -D && source ./gsic";
  expect(await runShell("zsh", `${load}; print -r -- $_comps[gsic]; zsh -n ./gsic`)).toEqual(["_gsic"]);
  const offered = `_describe() { print -rl -- "\${(@P)2}" }; _arguments() { print -rl -- "$@" }`;
  const at = (position: number, ...words: string[]) =>
    runShell("zsh", `${load}; ${offered}; words=(gsic ${words.join(" ")}) CURRENT=${position}; _gsic`);
  expect((await at(2, "''")).map((line) => line.split(":")[0])).toEqual(names);
  expect(await at(3, "build", "''")).toEqual(expect.arrayContaining(["1:input:_files"]));
  expect((await at(3, "run", "''")).join("\n")).toContain(`:mode:(${modes.join(" ")})`);
});

test.skipIf(absent("fish"))("fish (skipped where there is none) completes", async () => {
  const complete = async (line: string) =>
    (await runShell("fish", `source gsic; complete -C '${line}'`)).map((one) => one.split("\t")[0]);
  expect((await complete("gsic ")).sort()).toEqual([...names].sort());
  expect(await complete("gsic run build/x --mode ")).toEqual([...modes].sort());
  expect(await complete("gsic completion z")).toEqual(["zsh"]);
});

test.each(names)("gsic %s --help has an example of itself", (name) => {
  const command = program().commands.find((one) => one.name() === name)!;
  let help = "";
  command.configureOutput({ writeOut: (text) => (help += text) }).outputHelp();
  expect(help).toMatch(new RegExp(`^Example: .*gsic ${name}\\b`, "m"));
  expect(help).toContain(command.description().split(" ")[0]);
});
