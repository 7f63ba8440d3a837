import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { CodeObject } from "../cc/index.js";
import { readTarget } from "../config/targets.js";
import type { Manifest } from "../ir/program.js";
import { makePlan } from "../passes/index.js";
import { schedule } from "../schedule/program.js";
import { densePlan, noFactors, openFixture, temporaryFolder } from "../testing/fixtures.js";
import { gpuTarget } from "../testing/gpu.js";
import { writeModelBundle } from "./assemble.js";

/** Sections of a .gsi file by name; the format stands in runtime/src/bundle.h. */
function sectionsOf(file: Buffer): ReadonlyMap<string, Buffer> {
  const count = file.readUInt32LE(12);
  return new Map(
    Array.from({ length: count }, (_, index) => {
      const entry = file.subarray(32 + 64 * index, 96 + 64 * index);
      const name = entry.toString("latin1", 0, 32).replace(/\0.*$/s, "");
      const [offset, bytes] = [Number(entry.readBigUInt64LE(32)), Number(entry.readBigUInt64LE(40))];
      return [name, file.subarray(offset, offset + bytes)];
    }),
  );
}

test("the manifest says where each kernel's code object lies, for every target", async () => {
  const { model } = await openFixture("gpt2-f32");
  try {
    const plan = makePlan(model.graph, { options: densePlan });
    const scheduled = schedule(plan, ["exact"], readTarget("cpu-portable"));
    const objects = (seed: number) =>
      scheduled.kernels.map(
        (_, index): CodeObject => ({
          bytes: new Uint8Array(1 + ((index * 4099 * seed) % 9000)).fill(seed + index),
          resources: null,
        }),
      );
    const code = [
      { kind: "objects" as const, target: gpuTarget("mi300x"), objects: objects(1) },
      { kind: "objects" as const, target: gpuTarget("mi250x"), objects: objects(2) },
    ];
    const path = join(await temporaryFolder(), "model.gsi");
    await writeModelBundle(path, {
      model,
      plan,
      schedule: scheduled,
      modes: ["exact"],
      code,
      factors: noFactors,
    });
    const sections = sectionsOf(await readFile(path));
    const manifest = JSON.parse(sections.get("manifest")!.toString()) as Manifest;
    expect(manifest.targets.map(({ code: _, ...target }) => target)).toEqual([
      { name: "mi300x", device: "hip", architecture: "gfx942", features: [], section: "code:mi300x" },
      { name: "mi250x", device: "hip", architecture: "gfx90a", features: [], section: "code:mi250x" },
    ]);
    for (const [number, { section, code: places }] of manifest.targets.entries()) {
      const bytes = sections.get(section)!;
      expect(places).toHaveLength(manifest.kernels.length);
      for (const [index, place] of places!.entries()) {
        const found = bytes.subarray(place.offset, place.offset + place.bytes);
        expect(place.offset % 4096).toBe(0);
        expect(found.equals(code[number]!.objects[index]!.bytes)).toBe(true);
      }
      const last = places!.at(-1)!;
      expect(bytes.length).toBe(last.offset + last.bytes);
    }
  } finally {
    model.weights.close();
  }
});
