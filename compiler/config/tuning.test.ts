import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { tuningReport } from "../build-folder/make-report.js";
import { makePlan } from "../passes/index.js";
import type { MeasuredCost } from "../report/tuning.js";
import { schedule } from "../schedule/program.js";
import { densePlan, openFixture, temporaryFolder } from "../testing/fixtures.js";
import { gpuTarget } from "../testing/gpu.js";
import { readConfig } from "./config.js";
import {
  readTuningFile,
  shapeKey,
  type TunedShape,
  tuningOf,
  tuningText,
  withMeasuredCost,
  withTuning,
} from "./tuning.js";

const mi300x = gpuTarget("mi300x");

const square: TunedShape = {
  target: "mi300x",
  device: 'A "device"',
  gsic: "0.1.0",
  type: "bf16",
  out: 34,
  d: 34,
  matrices: 1,
  splits: 4,
  candidates: [
    { splits: 1, seconds: 2.5e-6, least: 2e-6, most: 3e-6 },
    { splits: 2, seconds: null, least: null, most: null },
    { splits: 4, seconds: 1.25e-7, least: 1e-7, most: 2e-7 },
  ],
};

const cost: MeasuredCost = {
  target: "mi300x",
  device: 'A "device"',
  gsic: "0.1.0",
  bandwidth: 4.25e12,
  launch: 6e-6,
  step: 2.5e-6,
};

/** The text of a file with such shapes. */
const textOf = (...shapes: TunedShape[]) => tuningText({ shapes, costs: [cost] });

/** A model.toml that names a tuning file of that text, or has one beside it. */
async function configured(text: string | null, named = false) {
  const folder = await temporaryFolder();
  const file = join(folder, named ? "other.toml" : "mi300x.tuning.toml");
  if (text !== null) await writeFile(file, text);
  const input = join(folder, "model.toml");
  const line = named ? '[target]\ntuning = "other.toml"\n' : "";
  await writeFile(input, `[model]\nname = "x"\nsource = "model"\n${line}`);
  return { config: readConfig(input), file };
}

test("a file is read as it was written, whatever order its entries came in", async () => {
  const other = { ...square, target: "h200", splits: 2 };
  const costs = [cost, { ...cost, target: "h200" }];
  const { file } = await configured(tuningText({ shapes: [square, other], costs }));
  expect(readTuningFile(file)).toEqual({ shapes: [other, square], costs: costs.toReversed() });
  expect(tuningText({ shapes: [other, square], costs: costs.toReversed() })).toBe(
    tuningText({ shapes: [square, other], costs }),
  );
});

test("the file beside model.toml is taken, or the one that is named; entries of other targets are not", async () => {
  const text = textOf(square, { ...square, target: "h200", splits: 2 });
  for (const named of [false, true]) {
    const { config, file } = await configured(text, named);
    expect(tuningOf(config, mi300x)).toEqual({ file, shapes: [square], cost });
  }
  expect(withMeasuredCost(mi300x, cost).cost).toEqual({ bandwidth: 4.25e12, launch: 6e-6, step: 2.5e-6 });
  expect(withMeasuredCost(gpuTarget("h200"), cost)).toEqual(gpuTarget("h200"));
  const { config } = await configured(null);
  expect(tuningOf(config, mi300x)).toBeNull();
  const missing = await configured(null, true);
  expect(() => tuningOf(missing.config, mi300x)).toThrowError(
    expect.objectContaining({ code: "tuning-missing", where: expect.stringContaining("other.toml") }),
  );
});

describe("a broken file is refused with its place and what to do", () => {
  const text = textOf(square);
  test.each([
    ["syntax", `${text}\nwrong = = 1`, /tuning\.toml:\d+:\d+$/, ""],
    ["format", text.replace("format = 1", "format = 2"), /: format$/, "must be 1"],
    ["splits", text.replace("splits = 4\n", "splits = 3\n"), /: shape 1, splits$/, "3 is not"],
    [
      "a candidate",
      text.replace("least = 0.000002", "least = -1"),
      /shape 1, candidate 1, least$/,
      "positive",
    ],
    ["a key", text.replace("out =", "rows ="), /shape 1$/, "unknown key rows"],
    ["a missing key", text.replace(/^device.*$/m, ""), /cost 1, device$/, "must be a string"],
    ["matrices", text.replace("matrices = 1", "matrices = 3"), /shape 1, matrices$/, "1 or 2"],
    ["twice", text + text.slice(text.indexOf("[[shape]]")), /shape 2$/, "twice"],
    ["a cost", text.replace("step = 0.0000025", "step = 0"), /: cost 1, step$/, "positive number"],
    [
      "two costs",
      text + text.slice(text.indexOf("[[cost]]"), text.indexOf("[[shape]]")),
      /: cost 2$/,
      "twice",
    ],
    ["no list", "format = 1\nshape = 3\n", /: shape$/, "list"],
  ])("%s", async (_, broken, where, message) => {
    const { config } = await configured(broken);
    expect(() => tuningOf(config, mi300x)).toThrowError(
      expect.objectContaining({
        category: "usage",
        code: "tuning-invalid",
        where: expect.stringMatching(where),
        message: expect.stringContaining(message),
        hint: expect.stringContaining("--tune"),
      }),
    );
  });
});

test("a schedule divides measured shapes as measured and others by the rule, and the report says which", async () => {
  const { model } = await openFixture("gpt2-bf16");
  const plan = makePlan(model.graph, { options: densePlan, device: "hip" });
  const ruled = schedule(plan, ["exact"], mi300x);
  const wide = { ...square, out: 136, splits: 16 };
  const tuning = { file: "/models/mi300x.tuning.toml", shapes: [square, wide], cost: null };
  const tuned = schedule(plan, ["exact"], withTuning(mi300x, tuning));
  const splits = ({ divisions }: typeof tuned) =>
    new Map(divisions.flat().map((division) => [shapeKey(division), division.splits]));
  const [before, after] = [splits(ruled), splits(tuned)];
  expect(before.get(shapeKey(square))).not.toBe(4);
  expect([...after]).toEqual(
    [...before].map(([key, rule]) => [
      key,
      key === shapeKey(square) ? 4 : key === shapeKey(wide) ? 16 : rule,
    ]),
  );
  expect(schedule(plan, ["exact"], withTuning(mi300x, { ...tuning, shapes: [] })).kernels).toEqual(
    ruled.kernels,
  );

  const { file, shapes } = tuningReport(tuned.divisions, tuning, "/models/out");
  expect(file).toBe("../mi300x.tuning.toml");
  const by = (key: TunedShape) => shapes.find((shape) => shapeKey(shape) === shapeKey(key));
  expect(by(square)).toMatchObject({ splits: 4, by: "measurement", device: 'A "device"' });
  expect(shapes.filter((shape) => shape.by === "rule").length).toBe(shapes.length - 2);

  // Workgroups of eight waves cannot share a tile among sixteen.
  const narrow = { ...mi300x, gpu: { ...mi300x.gpu, wavesPerWorkgroup: 8 } };
  const { gpu } = withTuning(narrow, tuning);
  expect([...gpu.tuned!.keys()]).toEqual([shapeKey(square)]);
});
