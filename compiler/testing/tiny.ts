/** Helpers of tests that use a finished build: examples/tiny-gpt2 in exact mode, which builds in seconds. */

import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "../build.js";
import { packageRoot } from "../support/paths.js";
import { silent } from "../support/progress.js";

/** A chat template for tiny-gpt2, which was trained on stories: it refuses messages after the third. */
export const tinyChatTemplate =
  "{% for m in messages %}{% if loop.index > 3 %}{{ raise_exception('three messages at most') }}{% endif %}" +
  "{{ m.content + ' ' }}{% endfor %}{% if add_generation_prompt %}Once{% endif %}";

/** A build of tiny-gpt2 in a folder of its own. */
export interface TinyBuild {
  /** The build folder, `build/tiny-gpt2` of a folder that holds the model too. */
  readonly folder: string;
  readonly bundle: string;
  remove(): void;
}

/** Builds tiny-gpt2 for this machine; with `chat`, its model has that chat template, or `tinyChatTemplate`. */
export async function buildTiny({
  chat = false,
}: {
  readonly chat?: boolean | string;
} = {}): Promise<TinyBuild> {
  const work = mkdtempSync(join(tmpdir(), "gsic-tiny-"));
  const example = join(packageRoot, "examples/tiny-gpt2");
  cpSync(join(example, "model"), join(work, "model"), { recursive: true });
  if (chat !== false) {
    const file = join(work, "model/tokenizer_config.json");
    const config = JSON.parse(readFileSync(file, "utf8")) as object;
    writeFileSync(
      file,
      JSON.stringify({ ...config, chat_template: chat === true ? tinyChatTemplate : chat }),
    );
  }
  const heldout = `[heldout]\ntext = ["${join(example, "heldout.txt")}"]\ntokens = 256\n`;
  writeFileSync(join(work, "model.toml"), `[model]\nname = "tiny-gpt2"\nsource = "model"\n${heldout}`);
  const out = join(work, "build/tiny-gpt2");
  await build({ input: join(work, "model.toml"), out, mode: "exact", progress: silent });
  const remove = () => rmSync(work, { recursive: true, force: true });
  return { folder: out, bundle: join(out, "tiny-gpt2.gsi"), remove };
}
