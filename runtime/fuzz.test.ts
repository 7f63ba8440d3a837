import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { packageRoot } from "../compiler/support/paths.js";
import { runs } from "../compiler/testing/fuzz/settings.js";
import { fuzzBundle } from "./testing/fuzz-bundle.js";
import { gpuBundle } from "./testing/gpu-bundle.js";
import { build, finish, named, sources } from "./testing/native.js";

const folder = mkdtempSync(join(tmpdir(), "gsic-fuzz-"));
const path = (name: string): string => join(folder, name);

beforeAll(async () => {
  writeFileSync(path("bytes.gsi"), await fuzzBundle("byte-level"));
  writeFileSync(path("spaces.gsi"), await fuzzBundle("metaspace"));
  const gpus = [
    { device: "hip", architecture: "gfx942" },
    { device: "cuda", architecture: "sm_90" },
  ] as const;
  writeFileSync(path("gpu.gsi"), await gpuBundle(gpus));
  const files = [...sources("src"), ...named("testing", ["fuzz_test_main", "mutate_test_main"])];
  await build(path("fuzz"), files);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("a bundle cut at any byte, or with any bit of its header or table flipped, is refused", async () => {
  for (const bundle of ["bytes.gsi", "gpu.gsi"]) {
    const { code, stdout, stderr } = await finish(path("fuzz"), ["sweep", path(bundle)]);
    expect(code, stderr).toBe(0);
    const { inputs, refused } = JSON.parse(stdout) as Counts;
    expect(refused).toBe(inputs);
    expect(inputs).toBeGreaterThan(readFileSync(path(bundle)).length);
  }
});

interface Counts {
  inputs: number;
  opened: number;
  refused: number;
}

/** Bundles that a kind of hostile input is made from, in turn. */
const kinds = { bundle: ["bytes.gsi", "gpu.gsi"], tokenizer: ["bytes.gsi", "spaces.gsi"] } as const;

test.each(["bundle", "tokenizer"] as const)(
  "hostile bundles are opened or refused: %s",
  {
    timeout: 0,
  },
  async (kind) => {
    const total: Counts = { inputs: 0, opened: 0, refused: 0 };
    for (const { seed, first, count, last, shown } of runs()) {
      const half = Math.ceil(count / 2);
      for (const [index, bundle] of kinds[kind].entries()) {
        const part = index === 0 ? [first, half] : [first + half, count - half];
        const args = [kind, path(bundle), `${seed}`, `${part[0]}`, `${part[1]}`, path("progress")];
        const { code, stdout, stderr } = await finish(path("fuzz"), args);
        if (code !== 0) throw new Error(`${await saved(kind, bundle, seed)}: ended with ${code}\n${stderr}`);
        const counts = JSON.parse(stdout) as Counts;
        for (const key of ["inputs", "opened", "refused"] as const) total[key] += counts[key];
      }
      if (last || shown) console.log(`fuzz ${kind}: seed ${seed}, ${JSON.stringify(total)}`);
    }
    // The mutations reach what they are for.
    expect(total.opened).toBeGreaterThan(total.inputs / 200);
    expect(total.refused).toBeGreaterThan(total.inputs / 4);
  },
);

/** Saves the input that the program was at; says which it is. */
async function saved(kind: string, bundle: string, seed: number): Promise<string> {
  const index = readFileSync(path("progress")).readBigUInt64LE();
  mkdirSync(join(packageRoot, "build/fuzz"), { recursive: true });
  const file = join(packageRoot, `build/fuzz/${kind}-${bundle}-${seed}-${index}`);
  await finish(path("fuzz"), ["dump", kind, path(bundle), `${seed}`, `${index}`, file]);
  return `${kind}: input ${index} of seed ${seed}, saved as ${file}`;
}
