import { expect, test } from "vitest";
import { keepWideSeed } from "./wide-seed.js";

const read = (text: string): { seed?: unknown } => {
  const body = JSON.parse(text) as { seed?: unknown };
  keepWideSeed(text, body);
  return body;
};

test("a seed keeps all its digits", () => {
  for (const seed of [
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
    "9007199254740993",
  ])
    expect(read(`{"prompt": "\\"seed\\": 5, \\\\", "seed" : ${seed}, "n": 1}`).seed).toBe(seed);
});

test("others stay as they are", () => {
  for (const text of [
    '{"seed": 7}',
    '{"seed": 1.5}',
    '{"seed": null}',
    '{"seed": "9223372036854775807"}',
    '{"seed": 1e30}',
  ])
    expect(read(text)).toEqual(JSON.parse(text));
  expect(read('["seed"]')).toEqual(["seed"]);
  const two = '{"metadata": {"seed": 9223372036854775806}, "seed": 9223372036854775807}';
  expect(read(two).seed).toBe(2 ** 63);
});
