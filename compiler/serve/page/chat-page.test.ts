/** The chat page in a real browser, against a real server. */

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openBuild } from "../../build-folder/open.js";
import { chatTemplateOf } from "../../chat.js";
import { load, type Model } from "../../load.js";
import {
  browserExecutable,
  contrastOf,
  type Look,
  openBrowser,
} from "../../report-html/page/browser-testing.js";
import { buildTiny, type TinyBuild, tinyToolTemplate } from "../../testing/tiny.js";
import { chatPage } from "../chat-page.js";
import { listen } from "../server-testing.js";

let built: TinyBuild;
let model: Model;
let chatting: string;
let completing: string;

beforeAll(async () => {
  built = await buildTiny({ chat: tinyToolTemplate, drafts: true });
  model = await load(built.bundle, { threads: 1 });
  const chat = chatTemplateOf(openBuild(built.folder));
  chatting = await listen(model, { chat, mode: "lossless", closeWith: afterAll });
  completing = await listen(model, { closeWith: afterAll });
});

afterAll(() => {
  model?.dispose();
  built?.remove();
});

test("names cannot become markup, and the policy names what is in the page", () => {
  const hostile = '</script><img src=x onerror="alert(1)">';
  const { html, policy } = chatPage({ model: hostile, mode: "exact", chat: true, context: 8 });
  expect(html).not.toContain("<img");
  expect(html.match(/<script>/g)).toHaveLength(1);
  expect(policy).toMatch(/default-src 'none'.*script-src 'sha256-.{44}'/);
  expect(html).not.toMatch(/https?:\/\//);
});

test("is one file, served with its policy", async () => {
  const response = await fetch(chatting);
  expect(response.headers.get("content-type")).toBe("text/html; charset=utf-8");
  expect(response.headers.get("content-security-policy")).toContain("connect-src 'self'");
  expect(await response.text()).toContain("tiny-gpt2");
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

    /** Lets a test use the page, and expects that it complained of nothing and asked nobody else. */
    async function using(
      url: string,
      { expected = /^$/, ...look }: Look & { readonly expected?: RegExp },
      use: (page: Page) => Promise<void>,
    ): Promise<void> {
      const { scheme = "light", width = 1280, height = 800 } = look;
      const page = await browser.newPage({
        viewport: { width, height },
        colorScheme: scheme,
        reducedMotion: "reduce",
      });
      const noise: string[] = [];
      page.on("console", (message) => noise.push(message.text()));
      page.on("pageerror", (error) => noise.push(String(error.stack)));
      page.on("request", (request) => {
        if (!request.url().startsWith(url)) noise.push(request.url());
      });
      await page.goto(url);
      await use(page);
      expect(noise.filter((text) => !expected.test(text))).toEqual([]);
      await page.close();
    }

    const answers = (page: Page) => page.locator(".message.assistant");
    const finished = (page: Page, count: number) =>
      expect
        .poll(() => page.locator(".message.assistant:not(.running)").count(), { timeout: 60_000 })
        .toBe(count);

    /** Sets fields of the settings. */
    async function set(page: Page, fields: Readonly<Record<string, string | boolean>>): Promise<void> {
      await page.getByRole("button", { name: "Settings" }).click();
      for (const [field, value] of Object.entries(fields)) {
        const input = page.locator(`#settings [name="${field}"]`);
        if (typeof value === "boolean") await input.setChecked(value);
        else await input.fill(value);
      }
      await page.getByRole("button", { name: "Done" }).click();
    }

    async function say(page: Page, text: string): Promise<void> {
      await page.locator("#text").fill(text);
      await page.keyboard.press("Enter");
    }

    test("streams an answer, and says how fast it came and how many drafts were accepted", async () => {
      await using(chatting, {}, async (page) => {
        await set(page, { temperature: "0", maxTokens: "40" });
        await say(page, "A fox");
        await finished(page, 1);
        const prompt = await model.encode("user: A fox Once");
        let text = "";
        for await (const token of model.generate(prompt, { tokens: 40 })) text += token.text;
        expect(await answers(page).locator(".body").textContent()).toBe(text);
        const note = await answers(page).locator(".note").textContent();
        expect(note).toMatch(
          /^40 tokens · [\d.]+ tokens\/s · first after [\d.]+ s · \d+ of \d+ drafts accepted \(\d+ %\)/,
        );
      });
    });

    test("is stopped by the button and by Escape, and keeps what has come", async () => {
      await using(chatting, {}, async (page) => {
        await set(page, { temperature: "2", topP: "1" });
        // A few tokens a second, or the answer would be there before anybody could stop it.
        const network = await page.context().newCDPSession(page);
        const slow = { offline: false, latency: 0, downloadThroughput: 4000, uploadThroughput: 1e6 };
        await network.send("Network.emulateNetworkConditions", slow);
        for (const [nth, stop] of [
          () => page.getByRole("button", { name: "Stop" }).click(),
          () => page.keyboard.press("Escape"),
        ].entries()) {
          await say(page, "A long story");
          await expect.poll(() => answers(page).last().locator(".body").textContent()).not.toBe("");
          await stop();
          await finished(page, nth + 1);
          expect(await answers(page).last().locator(".note").textContent()).toMatch(/^stopped · \d+ tokens?/);
        }
        expect(await page.getByRole("button", { name: "Send" }).isVisible()).toBe(true);
      });
    });

    test("repeats an answer, asks an edited message again, and begins anew", async () => {
      await using(chatting, {}, async (page) => {
        await set(page, { temperature: "1", maxTokens: "12", seed: "1" });
        await say(page, "A fox");
        await finished(page, 1);
        await say(page, "A bear");
        await finished(page, 2);
        const first = await answers(page).first().locator(".body").textContent();
        await answers(page).first().getByRole("button", { name: "Repeat" }).click();
        await finished(page, 1);
        expect(await answers(page).first().locator(".body").textContent()).toBe(first);
        await page.locator(".message.user").getByRole("button", { name: "Edit" }).click();
        await page.getByLabel("Edit the message").fill("An owl");
        await page.keyboard.press("Enter");
        await finished(page, 1);
        expect(await page.locator(".message.user .body").textContent()).toBe("An owl");
        await answers(page).getByRole("button", { name: "Edit" }).click();
        await page.getByLabel("Edit the answer").fill("It flew away.");
        await page.getByRole("button", { name: "Save" }).click();
        const asked = page.waitForRequest(/chat\/completions/);
        await say(page, "And then?");
        expect(((await asked).postDataJSON() as { messages: unknown }).messages).toEqual([
          { role: "user", content: "An owl" },
          { role: "assistant", content: "It flew away." },
          { role: "user", content: "And then?" },
        ]);
        await finished(page, 2);
        await page.getByRole("button", { name: "New" }).click();
        expect(await page.locator(".message").count()).toBe(0);
      });
    });

    test("shows each token's alternatives with their log-probabilities, by pointer and by arrow keys", async () => {
      await using(chatting, {}, async (page) => {
        await set(page, { temperature: "0", maxTokens: "10", alternatives: true });
        await say(page, "A fox");
        await finished(page, 1);
        const tokens = page.locator(".token");
        expect(await tokens.count()).toBe(10);
        const panel = page.locator("#alternatives");
        expect(await panel.isVisible()).toBe(false);
        await tokens.nth(3).hover();
        expect(await panel.locator("tr").count()).toBe(6);
        const logs = await panel.locator("tr td:last-child").allTextContents();
        expect(logs.map(Number)).toEqual([...logs.map(Number)].sort((a, b) => b - a));
        expect(await panel.locator("tr.chosen").count()).toBe(1);
        await page.mouse.move(0, 0);
        await tokens.first().focus();
        await page.keyboard.press("ArrowRight");
        expect(await tokens.nth(1).evaluate((one) => one === document.activeElement)).toBe(true);
        expect(await panel.isVisible()).toBe(true);
      });
    });

    test("an error of the server is told, and the conversation goes on", async () => {
      // The browser itself reports the request that is refused.
      await using(chatting, { expected: /status of 400/ }, async (page) => {
        await set(page, { maxTokens: "5" });
        await page.locator("#text").fill("too long ".repeat(200));
        await page.keyboard.press("Enter");
        await finished(page, 1);
        expect(await answers(page).locator(".note").textContent()).toContain("context is 256");
        await page.locator(".message.user").getByRole("button", { name: "Edit" }).click();
        await page.getByLabel("Edit the message").fill("Short");
        await page.keyboard.press("Enter");
        await finished(page, 1);
        expect(await answers(page).locator(".body").textContent()).not.toBe("");
      });
    });

    test("goes on with a text where the model has no template", async () => {
      await using(completing, {}, async (page) => {
        await set(page, { temperature: "0", maxTokens: "20", alternatives: true });
        await say(page, "Once upon a time");
        await finished(page, 1);
        let text = "";
        for await (const token of model.generate("Once upon a time", { tokens: 20 })) text += token.text;
        expect(await answers(page).locator(".body").textContent()).toBe(text);
      });
    });

    const looks: Look[] = [
      { scheme: "light" },
      { scheme: "dark" },
      { scheme: "light", width: 390, height: 780 },
      { scheme: "dark", width: 390, height: 780 },
    ];
    test.each(looks)("fits, and can be read: %o", async (look) => {
      await using(chatting, look, async (page) => {
        await set(page, { temperature: "0", maxTokens: "60", alternatives: true });
        await say(
          page,
          "A fox and a bear met in the wood, and nobody knew what would become of it. ".repeat(2),
        );
        await finished(page, 1);
        await page.locator(".token").nth(30).click();
        const beyond = () => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        expect(await beyond()).toBeLessThanOrEqual(0);
        for (const selector of [".user .body", ".token", ".note", ".below button", "header button", "#send"])
          expect(await contrastOf(page, selector), selector).toBeGreaterThanOrEqual(4.5);
        await shoot(page, look, "answer");
        await page.getByRole("button", { name: "Settings" }).click();
        expect(await contrastOf(page, "#settings label:not([hidden])")).toBeGreaterThanOrEqual(4.5);
        await shoot(page, look, "settings");
      });
    });

    /** Pictures for people, where GSIC_SCREENSHOTS names a folder. */
    async function shoot(page: Page, { scheme, width = 1280 }: Look, what: string): Promise<void> {
      const folder = process.env.GSIC_SCREENSHOTS;
      if (folder === undefined) return;
      mkdirSync(folder, { recursive: true });
      await page.screenshot({ path: join(folder, `${what}-${scheme}-${width}.png`) });
    }
  },
);
