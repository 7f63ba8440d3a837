import { type Command, Option } from "commander";
import { jsonOption, loaded } from "../options.js";

/** Adds `gsic inspect`. */
export function addInspect(gsic: Command): void {
  gsic
    .command("inspect <path>")
    .description("show the rewritten graph of a build folder, or of a model.toml")
    .addOption(jsonOption())
    .addOption(new Option("--dot", "print the graph for Graphviz").conflicts("json"))
    .option("--html <file>", "write a page that needs nothing else (of a build folder)")
    .option("--onnx <file>", "write the graph, without weights, for viewers of ONNX such as Netron")
    .addHelpText("after", "\nExample: gsic inspect build/tiny-gpt2")
    .action(loaded(async () => (await import("../actions/inspect.js")).inspect));
}
