import { execFile, spawnSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { build } from "../../compiler/build.js";
import { runnableTargets } from "../../compiler/cc/machine.js";
import { relativeError } from "../../compiler/check/check.js";
import { packageRoot } from "../../compiler/support/paths.js";
import { silent } from "../../compiler/support/progress.js";
import { nativeLogits, temporaryFolder } from "../../compiler/testing/fixtures.js";

const run = promisify(execFile);
const missing = spawnSync("cmake", ["--version"]).status === 0 ? null : "cmake is not installed";
const checkpoint = join(packageRoot, "examples/tiny-gpt2/model");
const calibration = join(packageRoot, "examples/tiny-gpt2/calibration.txt");
const ids = [5, 17, 3, 200, 41, 8, 77, 1, 19, 300, 12, 64, 9, 2, 150, 33, 90, 6, 71];

const config = `
[model]
name = "tiny-gpt2"
source = ${JSON.stringify(checkpoint)}
[calibration]
text = [${JSON.stringify(calibration)}]
tokens = 1024
[quality]
mode = "bounded"
[plan]
forms = ["tiered"]
bits = [5]
rank = [8]
`;

/** What one of the programs prints: a logit a line. */
async function printed(program: string, args: readonly string[]): Promise<Float32Array> {
  const { stdout } = await run(program, args);
  return Float32Array.from(stdout.trimEnd().split("\n"), Number);
}

test.skipIf(missing !== null)(
  `programs in C++, built by cmake, compute what gsic logits does${missing === null ? "" : `: ${missing}`}`,
  async () => {
    const folder = await temporaryFolder();
    const [best] = await runnableTargets();
    const [input, out, made] = ["model.toml", "out", "made"].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ];
    await writeFile(input, config);
    await build({ input, out, targets: [best!.name], progress: silent });
    const source = join(packageRoot, "examples/cpp");
    await expect(run("cmake", ["-S", source, "-B", made, `-DGSIC_BUILD=${folder}`])).rejects.toThrow(
      /GSIC_BUILD is '.*', which is no folder\s+of a build/,
    );
    await run("cmake", ["-S", source, "-B", made, `-DGSIC_BUILD=${out}`]);
    await run("cmake", ["--build", made]);
    for (const mode of ["exact", "bounded"] as const) {
      const all = await nativeLogits(join(out, "tiny-gpt2.gsi"), ids, mode);
      const expected = all.subarray(all.length - all.length / ids.length);
      expect(await printed(join(made, "whole_model"), [mode, ...ids.map(String)])).toEqual(expected);
      const host = [mode, join(checkpoint, "model.safetensors"), "4", "6", ...ids.map(String)];
      const found = await printed(join(made, "linear_by_linear"), host);
      expect(relativeError(found, expected), mode).toBeLessThanOrEqual(1e-4);
    }
  },
);
