import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readConfig } from "../config/config.js";
import type { Graph } from "../ir/graph.js";
import { withCodedWeights } from "../models/coded.js";
import { silent } from "../support/progress.js";
import { openFixture, temporaryFolder, testTargets } from "../testing/fixtures.js";
import { shapesThatGain, withStorage } from "./storage.js";

test("a shape is packed where every call of linears in which it occurs gains clearly", () => {
  const call = (shapes: string[], gain: number) => ({ shapes, stored_seconds: gain, packed_seconds: 1 });
  expect(shapesThatGain([call(["8x4", "2x4"], 1.3), call(["9x8"], 1.06), call(["4x9"], 1.04)])).toEqual([
    "2x4",
    "8x4",
    "9x8",
  ]);
  expect(shapesThatGain([call(["8x4"], 1.3), call(["8x4", "2x4"], 0.9), call(["3x3"], 2)])).toEqual(["3x3"]);
  expect(shapesThatGain([])).toEqual([]);
});

/** Shapes of the linears that are packed in a graph. */
function packedIn({ nodes }: Graph): Set<string> {
  return new Set(
    nodes.flatMap((node) =>
      node.kind === "linear" && node.weight.coded !== undefined
        ? [`${node.weight.out}x${node.weight.d}`]
        : [],
    ),
  );
}

test("what is measured is written down, decides, and is not measured again; its shapes can be pinned", async () => {
  const { model } = await openFixture("llama-bf16");
  const [target] = await testTargets();
  const folder = await temporaryFolder();
  const toml = join(await temporaryFolder(), "model.toml");
  const stored = (storage: string) => {
    writeFileSync(toml, `[model]\nname = "m"\nsource = "w"\nstorage = ${storage}\n`);
    return withStorage(model, readConfig(toml), [target!], silent, { repeat: 1, folder });
  };
  const first = await stored('"auto"');
  const { measured, calls, packed } = first.storage!;
  expect(measured).toMatchObject({ target: target!.name });
  const all = packedIn(withCodedWeights(model.graph, model.weights));
  expect(new Set(calls.flatMap(({ shapes }) => shapes))).toEqual(all);
  expect(packed).toEqual(shapesThatGain(calls));
  expect(packedIn(first.model.graph)).toEqual(new Set(packed));
  // On another day packing gains for all but one.
  const [file] = readdirSync(folder);
  const faster = calls.map((call, index) => ({
    ...call,
    packed_seconds: 1,
    stored_seconds: index > 0 ? 2 : 1,
  }));
  writeFileSync(join(folder, file!), JSON.stringify(faster));
  const second = await stored('"auto"');
  expect(second.storage).toMatchObject({ calls: faster, packed: shapesThatGain(faster) });
  expect(second.storage!.packed.length).toBeGreaterThan(0);
  expect(packedIn(second.model.graph)).toEqual(new Set(second.storage!.packed));
  const pinned = await stored(JSON.stringify(second.storage!.packed));
  expect(pinned).toEqual({ model: second.model, storage: null });
  expect((await stored('"stored"')).model).toBe(model);
  await expect(stored('["7x7"]')).rejects.toMatchObject({ code: "storage-shape-unknown", category: "usage" });
  model.weights.close();
});
