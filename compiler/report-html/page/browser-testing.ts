/** Pages in a real browser, for tests. */

import { existsSync } from "node:fs";
import { type Browser, chromium, type Page } from "playwright-core";

/** Debian's name first, then those of other distributions. */
const places = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** A Chromium of this machine; null where there is none. `node compiler/setup.mjs --browser` installs one. */
export const browserExecutable = process.env.GSIC_CHROMIUM ?? places.find((path) => existsSync(path)) ?? null;

export function openBrowser(): Promise<Browser> {
  // Containers forbid the sandbox's user namespaces; the pages are our own.
  return chromium.launch({ executablePath: browserExecutable!, args: ["--no-sandbox"] });
}

/** How a page is looked at. */
export interface Look {
  readonly scheme?: "light" | "dark";
  readonly width?: number;
  readonly height?: number;
}

/** Opens a file; `noise` collects all that it says on the console, and whatever it asks for besides. */
export async function openPage(
  browser: Browser,
  file: string,
  { scheme = "light", width = 1280, height = 900 }: Look = {},
): Promise<{ page: Page; noise: string[] }> {
  const page = await browser.newPage({
    viewport: { width, height },
    colorScheme: scheme,
    reducedMotion: "reduce",
  });
  const noise: string[] = [];
  page.on("console", (message) => noise.push(`${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => noise.push(String(error.stack)));
  page.on("request", (request) => {
    if (!/^(file|data):/.test(request.url()) || !request.url().endsWith(file))
      if (!request.url().startsWith("data:")) noise.push(`request: ${request.url()}`);
  });
  await page.goto(`file://${file}`);
  return { page, noise };
}

/** The contrast of an element's text with what lies behind it, by WCAG 2. */
export function contrastOf(page: Page, selector: string): Promise<number> {
  return page
    .locator(selector)
    .first()
    .evaluate((element: Element) => {
      const channels = (colour: string): number[] => (colour.match(/[\d.]+/g) ?? []).map(Number);
      const luminance = (colour: string): number => {
        const [red, green, blue] = channels(colour).map((channel) => {
          const share = channel / 255;
          return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
        }) as [number, number, number];
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
      };
      const style = getComputedStyle(element);
      const shape = element.closest("g")?.querySelector("rect");
      let behind = shape ? getComputedStyle(shape).fill : "rgba(0, 0, 0, 0)";
      for (let at: Element | null = element; at !== null && channels(behind)[3] === 0; at = at.parentElement)
        behind = getComputedStyle(at).backgroundColor;
      const [a, b] = [luminance(shape ? style.fill : style.color), luminance(behind)];
      return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    });
}
