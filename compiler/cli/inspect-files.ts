import { resolve } from "node:path";
import type { Built } from "../build-folder/open.js";
import { refuseOverwrite } from "../build-folder/publish.js";
import type { Plan } from "../ir/plan.js";
import { GsicError } from "../support/errors.js";
import { writeWhole } from "../support/replace-file.js";

/** Files that `gsic inspect` may write. */
interface InspectedFiles {
  readonly html?: string;
  readonly onnx?: string;
}

/** A file that was written. */
interface WrittenFile {
  readonly file: string;
  readonly bytes: number;
}

/**
 * Writes a plan as the files that are asked for, each whole or not at all; returns what was written. Throws
 * `inspect-build-needed` where a page is asked for and there is no build, and `output-unwritable`.
 */
export async function writeInspected(
  path: string,
  built: Built | null,
  plan: Plan,
  { html, onnx }: InspectedFiles,
): Promise<readonly WrittenFile[]> {
  const files: WrittenFile[] = [];
  const write = async (out: string, content: string | Uint8Array) => {
    refuseOverwrite(resolve(out), inputsOf(path, built));
    await writeWhole(out, content);
    files.push({ file: out, bytes: Buffer.byteLength(content) });
  };
  if (html !== undefined) {
    if (built === null) throw needsBuild(path);
    const { reportHtmlOf } = await import("../report-html/page.js");
    await write(html, reportHtmlOf(built, plan));
  }
  if (onnx !== undefined) {
    const { onnxModel } = await import("../inspect/onnx.js");
    await write(onnx, onnxModel(plan));
  }
  return files;
}

/** What must not be overwritten. */
function inputsOf(path: string, built: Built | null): readonly string[] {
  return built === null ? [path] : built.files;
}

function needsBuild(path: string): GsicError {
  return new GsicError({
    category: "usage",
    code: "inspect-build-needed",
    message: "a page shows a build: what was compiled, checked and measured",
    where: path,
    hint: "build it first, and inspect the build folder: gsic build <model.toml>",
  });
}
