import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { timesInStep } from "../../bench/launch-times.js";
import { measureStep } from "../../bench/step.js";
import { build } from "../../build.js";
import { Built, openBuild, readPlan } from "../../build-folder/open.js";
import { recordMeasured } from "../../cli/record.js";
import { readConfig } from "../../config/config.js";
import { evaluate } from "../../evaluate/command.js";
import { openModel } from "../../models/model.js";
import { packageRoot } from "../../support/paths.js";
import { silent } from "../../support/progress.js";
import { pageData } from "../data.js";
import { reportHtmlOf } from "../page.js";
import { browserExecutable, contrastOf, type Look, openBrowser, openPage } from "./browser-testing.js";

const work = mkdtempSync(join(tmpdir(), "gsic-page-"));
const example = join(packageRoot, "examples/tiny-gpt2");

/** Builds examples/tiny-gpt2 with a plan of its own; returns the folder. */
async function built(name: string, plan: string): Promise<string> {
  const text = readFileSync(join(example, "model.toml"), "utf8")
    .replace('source = "model"', `source = "${example}/model"`)
    .replace('"calibration.txt"', `"${example}/calibration.txt"`)
    .replace('"heldout.txt"', `"${example}/heldout.txt"`)
    .replace("tokens = 8192", "tokens = 2048")
    .replace("tokens = 4096", "tokens = 1024");
  const toml = join(work, `${name}.toml`);
  writeFileSync(toml, `${text}\n[plan]\n${plan}`);
  const out = join(work, name);
  await build({ input: toml, out, progress: silent });
  return out;
}

const page = (folder: string) => readFileSync(join(folder, "report.html"), "utf8");

let searched: string;
let gated: string;

beforeAll(async () => {
  const tiers = 'forms = ["dense", "gated", "tiered"]\nbits = [3, 5]\nrank = [0]\n';
  searched = await built("searched", `${tiers}k = [64, 96]\nepsilon = [0.1]\n`);
  gated = await built("gated", 'forms = ["gated"]\nk = [96]\nepsilon = [0.15]\n');
});

afterAll(() => rmSync(work, { recursive: true, force: true }));

test("a build leaves its page, which gsic inspect makes again, byte by byte", async () => {
  for (const folder of [searched, gated]) {
    const { plan } = await readPlan(join(folder, "graph.ts"));
    expect(reportHtmlOf(openBuild(folder), plan) === page(folder)).toBe(true);
    expect(statSync(join(folder, "report.html")).size).toBeLessThan(3e6);
    expect(page(folder)).not.toContain(work);
    expect(page(folder)).not.toContain(packageRoot);
  }
});

test("names and reasons cannot become markup", async () => {
  const { plan } = await readPlan(join(searched, "graph.ts"));
  const { folder, report } = openBuild(searched);
  const hostile = '</script><img src=x onerror="alert(1)">';
  const linears = new Map([...plan.linears].map(([id, one]) => [id, { ...one, verdict: hostile }]));
  const text = reportHtmlOf(new Built(folder, { ...report, family: hostile }), { ...plan, linears });
  expect(text).not.toContain("<img src");
  expect(text.match(/<\/script>/g)).toHaveLength(page(searched).match(/<\/script>/g)!.length);
});

describe.skipIf(browserExecutable === null)(
  browserExecutable === null
    ? "in a browser (none is here: node compiler/setup.mjs --browser)"
    : "in a browser",
  () => {
    let browser: Browser;

    beforeAll(async () => {
      browser = await openBrowser();
    });

    afterAll(() => browser?.close());

    /** Opens a build's page, lets a test use it, and expects that it asked for nothing and complained of nothing. */
    async function using(folder: string, look: Look, use: (page: Page) => Promise<void>): Promise<void> {
      const { page: opened, noise } = await openPage(browser, join(folder, "report.html"), look);
      await use(opened);
      expect(noise).toEqual([]);
      await opened.close();
    }

    const looks: Look[] = [
      { scheme: "light" },
      { scheme: "dark" },
      { scheme: "light", width: 360, height: 740 },
      { scheme: "dark", width: 360, height: 740 },
    ];
    test.each(looks)("opens without a complaint, fits, and can be read: %o", async (look) => {
      await using(searched, look, async (opened) => {
        const beyond = () => opened.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        expect(await beyond()).toBeLessThanOrEqual(0);
        for (const plot of ["depth", "frontier", "depth-energy", "spectrum", "residuals"])
          expect(await opened.locator(`#plot-${plot} svg`).count(), plot).toBeGreaterThan(0);
        const read = [".verdict", ".note", "nav a", "#theme", ".legend li", "#details dt", "#details dd"];
        const boxes = ["#graph .frame text", "#graph .linear .name", "#graph .other text"];
        const tables = ["#linears thead th", "#linears tbody td", "#linears tbody button", "pre"];
        for (const selector of [...read, ...boxes, ...tables])
          expect(await contrastOf(opened, selector), selector).toBeGreaterThanOrEqual(4.5);
      });
    });

    test("the graph is zoomed and walked through by pointer and by keyboard", async () => {
      await using(searched, {}, async (opened) => {
        const chosen = () => opened.locator('#graph [aria-pressed="true"]').getAttribute("data-id");
        const view = () => opened.locator("#graph-view").getAttribute("transform");
        const layer = () =>
          opened.locator("#graph-layer").evaluate((select: HTMLSelectElement) => select.value);
        expect(await chosen()).toBe("layer0_query");
        expect(await layer()).toBe("layer 0");
        await opened.getByRole("button", { name: "Next layer" }).click();
        expect(await layer()).toBe("layer 1");
        await opened.locator("#graph-layer").selectOption("layer 3");
        expect(await layer()).toBe("layer 3");
        await opened.locator('#graph [data-id="layer3_down"]').focus();
        await opened.keyboard.press("Enter");
        expect(await opened.locator("#details h3").textContent()).toBe("layer 3, down");
        await opened.keyboard.press("ArrowUp");
        expect(await chosen()).toBe("layer3_activation");
        expect(await opened.evaluate(() => document.activeElement?.getAttribute("data-id"))).toBe(
          "layer3_activation",
        );
        const before = await view();
        await opened.keyboard.press("+");
        const nearer = await view();
        expect(nearer).not.toBe(before);
        await opened.keyboard.press("0");
        expect(await view()).toBe("translate(0,0) scale(1)");
        await opened.locator("#graph").hover();
        await opened.mouse.wheel(0, -400);
        await expect.poll(view).not.toBe("translate(0,0) scale(1)");
      });
    });

    test("details lead to the kernel and to the activations", async () => {
      await using(searched, {}, async (opened) => {
        const link = opened.locator("#details a").first();
        const symbol = await link.textContent();
        await link.click();
        const kernel = opened.locator(`#kernel-${symbol}`);
        expect(await kernel.getAttribute("open")).not.toBeNull();
        expect(await kernel.locator("pre").textContent()).toContain(`void ${symbol}(`);
        await opened.locator("#linears [data-show=layer2_up]").click();
        expect(await opened.locator("#details h3").textContent()).toBe("layer 2, up");
        await opened.getByRole("link", { name: "Spectrum and residuals" }).click();
        for (const plot of ["spectrum", "residuals"])
          expect(await opened.locator(`#plot-${plot} figcaption`).textContent()).toMatch(
            /^layer2_mlp_norm: /,
          );
      });
    });

    test("the table of linears is filtered and sorted; the theme can be chosen", async () => {
      await using(searched, {}, async (opened) => {
        await opened.getByLabel("Filter").fill("layer 3 down");
        const shown = opened.locator("#linears tbody tr:visible");
        expect(await shown.count()).toBe(1);
        await opened.getByLabel("Filter").fill("");
        expect(await shown.count()).toBe(25);
        const heading = opened.getByRole("columnheader", { name: "bytes before" });
        await heading.getByRole("button").press("Enter");
        expect(await heading.getAttribute("aria-sort")).toBe("ascending");
        await heading.getByRole("button").press("Enter");
        expect(await shown.first().locator("th").textContent()).toBe("logits");
        const background = () => opened.evaluate(() => getComputedStyle(document.body).backgroundColor);
        const light = await background();
        await opened.locator("#theme").click();
        expect(await background()).toBe(light);
        await opened.locator("#theme").click();
        expect(await background()).not.toBe(light);
      });
    });

    test("what gsic bench --launches measured is shown once it is recorded: every linear, before and after", async () => {
      const before = openBuild(searched);
      await using(searched, {}, async (opened) => {
        expect(await opened.locator("#plot-times").count()).toBe(0);
        expect(await opened.locator("#linears-section").textContent()).toContain("gsic bench --launches");
      });
      const measured = await measureStep(before, { tokens: 4, repeat: 1, prompt: 4 });
      for (const mode of ["bounded", "exact"] as const) {
        const { launches, step_seconds: step } = measured.modes[mode]!;
        expect(launches).toHaveLength(before.report.launches_per_token[mode]!);
        expect(step.median).toBeGreaterThan(0);
      }
      expect(await recordMeasured(before, { launch_times: timesInStep(measured) })).toBeNull();
      const data = pageData({
        plan: (await readPlan(join(searched, "graph.ts"))).plan,
        program: before.program,
        report: openBuild(searched).report,
        sources: new Map(),
      });
      // What took no longer than reading the clock has no dot.
      const timed = data.linears.filter(({ measured: { plan } }) => plan !== 0);
      expect(data.linears).toHaveLength(25);
      expect(timed.length).toBeGreaterThan(0);
      for (const look of [{}, { scheme: "dark", width: 360, height: 740 } as const])
        await using(searched, look, async (opened) => {
          const dots = opened.locator("#plot-times [aria-label=dot] circle");
          expect(await dots.count()).toBe(timed.length);
          expect(await opened.locator("#details").textContent()).toMatch(/ predicted, .* measured/);
          expect(await opened.locator("#linears thead th").count()).toBe(15);
          const cells = await opened.locator("#linears tbody tr").first().locator("td").allTextContents();
          expect(cells).toHaveLength(14);
          const beyond = await opened.evaluate(() => document.documentElement.scrollWidth - innerWidth);
          expect(beyond).toBeLessThanOrEqual(0);
        });
      // Of each launch with weights, all of its time belongs to linears.
      const multiplied = measured.modes.exact!.launches.filter(({ kernel }) =>
        /project|glu|head/.test(kernel),
      );
      const whole = multiplied.reduce((sum, { seconds }) => sum + seconds.median, 0);
      const parts = data.linears.reduce((sum, { measured: { dense } }) => sum + dense!, 0);
      expect(parts).toBeCloseTo(whole, 12);
    });

    test("what gsic eval measured is shown once it is recorded: held-out figures, and tiers along depth", async () => {
      await using(gated, {}, async (opened) => {
        expect(await opened.locator("#plot-tiers").count()).toBe(0);
        expect(await opened.locator("#quality-section").textContent()).toContain("gsic eval");
      });
      const before = openBuild(gated);
      const { bundle, report } = before;
      const config = readConfig(join(work, "gated.toml"));
      const model = await openModel(config, () => {});
      const evaluation = await evaluate({ bundle, report, config, model, mode: "bounded", progress: silent });
      model.weights.close();
      expect(await recordMeasured(before, { evaluation })).toBeNull();
      expect(openBuild(gated).report.evaluation).toEqual(evaluation);
      await using(gated, { width: 360 }, async (opened) => {
        const { value } = evaluation.heldout!.kl;
        expect(await opened.locator(".tiles").textContent()).toContain(value.toFixed(4));
        const bars = opened.locator("#plot-tiers [aria-label=bar] rect");
        // Two texts, sixteen inputs that have a gate, two tiers.
        expect(await bars.count()).toBe(2 * 16 * 2);
        const { fast } = evaluation.heldout!.tiers.by_input.layer0_attention_norm!;
        expect(await opened.locator("#details").textContent()).toContain(`${(100 * fast).toFixed(1)} % fast`);
      });
    });
  },
);
