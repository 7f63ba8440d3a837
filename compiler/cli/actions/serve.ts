import { openBuild } from "../../build-folder/open.js";
import { type ServeOptions, serve as serveBuild } from "../../serve/command.js";
import type { Json } from "../options.js";
import { needReader, print } from "../output.js";

/** `gsic serve`: prints where, once requests are taken. */
export async function serve(path: string, options: Json & ServeOptions): Promise<void> {
  needReader();
  await serveBuild(openBuild(path), options, (address) => {
    const { urls, key, model, mode, target, chat, cached } = address;
    const what = `${model} (${mode}, ${target}${chat ? "" : ", no chat template"})`;
    const where = urls.map((url) => `${url}/v1`).join(", ");
    const kept = cached === 0 ? "" : `, ${cached} tokens in its cache`;
    const text = `${what} is served at ${where}${key ? ", with a key" : ""}${kept}; Ctrl-C stops`;
    print(options.json ? JSON.stringify(address) : text);
  });
}
