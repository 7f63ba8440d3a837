import { Argument, type Command } from "commander";
import { completionScript, type Shell, shells } from "../completion.js";

/** Adds `gsic completion`. */
export function addCompletion(gsic: Command): void {
  gsic
    .command("completion")
    .description("print the script by which a shell completes gsic's commands and options")
    .addArgument(new Argument("<shell>", "the shell").choices(shells))
    .addHelpText("after", "\nExample: source <(gsic completion bash)")
    .action((shell: Shell) => {
      process.stdout.write(completionScript(shell, gsic));
    });
}
