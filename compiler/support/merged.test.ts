import { expect, test } from "vitest";
import { merged } from "./merged.js";

/** Gives its values, each after `delay` turns of the event loop; notes when it begins and ends. */
function source(name: string, values: readonly number[], delay: number, log: string[]) {
  return async function* () {
    log.push(`${name} begins`);
    try {
      for (const value of values) {
        for (let i = 0; i < delay; i++) await new Promise((resolve) => setImmediate(resolve));
        if (value < 0) throw new Error(`${name} fails`);
        yield `${name}${value}`;
      }
    } finally {
      log.push(`${name} ends`);
    }
  };
}

test("every value comes once, those of a source in order, from so many sources at a time", async () => {
  const log: string[] = [];
  const found: string[] = [];
  const sources = [source("a", [1, 2, 3], 3, log), source("b", [1, 2], 1, log), source("c", [1], 1, log)];
  for await (const value of merged(sources, 2)) found.push(value);
  expect([...found].sort()).toEqual(["a1", "a2", "a3", "b1", "b2", "c1"]);
  for (const name of ["a", "b"]) {
    const own = found.filter((value) => value.startsWith(name));
    expect(own).toEqual([...own].sort());
  }
  expect(found.indexOf("b2")).toBeLessThan(found.indexOf("a2"));
  expect(log.indexOf("c begins")).toBeGreaterThan(log.indexOf("b ends"));
});

test("where one fails, its error comes, and the others end", async () => {
  const log: string[] = [];
  const reading = async () => {
    for await (const _ of merged([source("a", [1, 2, 3, 4, 5], 2, log), source("b", [1, -1], 1, log)], 4));
  };
  await expect(reading()).rejects.toThrow("b fails");
  await expect.poll(() => log).toContain("a ends");
});

test("where nobody wants more, all end", async () => {
  const log: string[] = [];
  for await (const _ of merged([source("a", [1, 2], 1, log), source("b", [1, 2], 2, log)], 4)) break;
  await expect.poll(() => log.filter((line) => line.endsWith("ends"))).toHaveLength(2);
});
