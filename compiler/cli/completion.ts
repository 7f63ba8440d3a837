/** Scripts for shells that complete gsic's commands, options and their words; made from commander's definition. */

import type { Command, Option } from "commander";
import { everyCpu, targetNames } from "../config/targets.js";

/** The shells that `gsic completion` writes scripts for. */
export const shells = ["bash", "zsh", "fish"] as const;

/** One of `shells`, by its name on the command line. */
export type Shell = (typeof shells)[number];

/** The script for a shell; `program` holds all commands. */
export function completionScript(shell: Shell, program: Command): string {
  switch (shell) {
    case "bash":
      return bash(program);
    case "zsh":
      return zsh(program);
    case "fish":
      return fish(program);
    default:
      return shell satisfies never;
  }
}

/** The options of a command, and the one that all have. */
function optionsOf(command: Command): readonly Option[] {
  return command.createHelp().visibleOptions(command);
}

/** The words that an option takes; null: a number, a text or a file. */
function wordsOf(option: Option): readonly string[] | null {
  return option.argChoices ?? (option.long === "--target" ? [everyCpu, ...targetNames()] : null);
}

/** The words that a command's argument takes; null: a file or a folder. */
function argumentWords(command: Command): readonly string[] | null {
  return command.registeredArguments[0]?.argChoices ?? null;
}

const takesValue = ({ required, optional }: Option): boolean => required || optional;

/** Where nothing fits, bash falls back to files. */
function bash(program: Command): string {
  const names = program.commands.map((command) => command.name());
  const values = program.commands.flatMap((command) =>
    optionsOf(command)
      .filter(takesValue)
      .map(
        (option) => `    "${command.name()} ${option.long}") words="${(wordsOf(option) ?? []).join(" ")}" ;;`,
      ),
  );
  const rest = program.commands.map((command) => {
    const words = [...(argumentWords(command) ?? []), ...optionsOf(command).map(({ long }) => long)];
    return `    "${command.name()} "*) words="${words.join(" ")}" ;;`;
  });
  return `# Completion of gsic for bash. Load it with: source <(gsic completion bash)
_gsic() {
  local word=\${COMP_WORDS[COMP_CWORD]} words
  if ((COMP_CWORD == 1)); then
    words="${names.join(" ")} --help --version"
  else
    case "\${COMP_WORDS[1]} \${COMP_WORDS[COMP_CWORD - 1]}" in
${[...values, ...rest].join("\n")}
    esac
  fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -o bashdefault -o default -F _gsic gsic
`;
}

function zsh(program: Command): string {
  const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;
  const plain = (text: string) => text.replaceAll(/[\\:[\]]/g, "\\$&");
  const commands = program.commands.map((command) =>
    quoted(`${command.name()}:${plain(command.description())}`),
  );
  const action = (words: readonly string[] | null) => (words === null ? "_files" : `(${words.join(" ")})`);
  const cases = program.commands.map((command) => {
    const options = optionsOf(command).map((option) => {
      const value = takesValue(option) ? `:${option.attributeName()}:${action(wordsOf(option))}` : "";
      return quoted(`${option.long}[${plain(option.description)}]${value}`);
    });
    const [argument] = command.registeredArguments;
    const first = argument && quoted(`1:${plain(argument.name())}:${action(argumentWords(command))}`);
    const all = [...options, ...(first === undefined ? [] : [first])];
    return `    ${command.name()}) _arguments ${all.join(" ")} ;;`;
  });
  return `#compdef gsic
# Completion of gsic for zsh. Load it with: source <(gsic completion zsh)
_gsic() {
  local -a commands=(
    ${commands.join("\n    ")}
  )
  if ((CURRENT == 2)); then
    _describe command commands
    return
  fi
  shift words
  ((CURRENT--))
  case $words[1] in
${cases.join("\n")}
  esac
}
if [[ $funcstack[1] == _gsic ]]; then _gsic; else compdef _gsic gsic; fi
`;
}

function fish(program: Command): string {
  const quoted = (text: string) => `'${text.replaceAll(/[\\']/g, "\\$&")}'`;
  const lines = program.commands.flatMap((command) => {
    const name = command.name();
    const inside = `complete -c gsic -n '__fish_seen_subcommand_from ${name}'`;
    const options = optionsOf(command).map((option) => {
      const words = wordsOf(option);
      const value = !takesValue(option) ? "" : words === null ? " -r" : ` -x -a ${quoted(words.join(" "))}`;
      return `${inside} -l ${option.long!.slice(2)}${value} -d ${quoted(option.description)}`;
    });
    const words = argumentWords(command);
    return [
      `complete -c gsic -n __fish_use_subcommand -f -a ${name} -d ${quoted(command.description())}`,
      ...options,
      ...(words === null ? [] : [`${inside} -f -a ${quoted(words.join(" "))}`]),
    ];
  });
  return `# Completion of gsic for fish. Load it with: gsic completion fish | source\n${lines.join("\n")}\n`;
}
