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

/** One that knows tools, as Hermes' does, in few words. */
export const tinyToolTemplate =
  "{% for t in tools or [] %}{{ t.function.name + ' ' }}{% endfor %}{% if tools %}<tool_call> {% endif %}" +
  "{% for m in messages %}{{ m.role + ': ' }}{% for c in m.tool_calls or [] %}<tool_call>{{ c.function.name + ' ' }}" +
  "{{ c.function.arguments | tojson }}</tool_call>{% endfor %}{{ (m.content or '') + ' ' if not m.tool_calls else ' ' }}" +
  "{% endfor %}{% if add_generation_prompt %}Once{% endif %}";

/** A build of tiny-gpt2 in a folder of its own. */
export interface TinyBuild {
  /** The build folder, `build/tiny-gpt2` of a folder that holds the model too. */
  readonly folder: string;
  readonly bundle: string;
  remove(): void;
}

/** What makes a build of tiny-gpt2 more than the plainest one. */
interface TinyOptions {
  /** Whether its model has `tinyChatTemplate`, or which template it has. */
  readonly chat?: boolean | string;
  /** Whether its default mode is lossless, and matrices of 3 bits draft. */
  readonly drafts?: boolean;
}

/** Builds tiny-gpt2 for this machine. */
export async function buildTiny({ chat = false, drafts = false }: TinyOptions = {}): Promise<TinyBuild> {
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
  const calibration = `[calibration]\ntext = ["${join(example, "calibration.txt")}"]\ntokens = 1024\n`;
  const plan = '[plan]\nforms = ["tiered"]\nbits = [3]\nrank = [0]\n';
  const toml = `[model]\nname = "tiny-gpt2"\nsource = "model"\n${heldout}${drafts ? calibration + plan : ""}`;
  writeFileSync(join(work, "model.toml"), toml);
  const out = join(work, "build/tiny-gpt2");
  const mode = drafts ? "lossless" : "exact";
  await build({ input: join(work, "model.toml"), out, mode, progress: silent });
  const remove = () => rmSync(work, { recursive: true, force: true });
  return { folder: out, bundle: join(out, "tiny-gpt2.gsi"), remove };
}
