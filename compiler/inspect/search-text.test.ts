import { expect, test } from "vitest";
import { madeUpSearch } from "../testing/search-report.js";
import { searchText } from "./search-text.js";

test("all that was measured stands in one table, the cheapest first, the chosen plan marked", () => {
  expect(searchText(madeUpSearch()).join("\n")).toMatchInlineSnapshot(`
    "The plan reads 25.0 % of the dense bytes.

      plan               bytes     time  predicted KL       KL                   top-1  lossless
    -----------------  -------  -------  ------------  ------------------------  -----  --------
      nearest, 3 bits   22.5 %                          0.1000 [0.0900, 0.1100]  0.909
    * planned           25.0 %   30.0 %        0.0063   0.0125 [0.0113, 0.0138]  0.988    2.21 x
      nearest, 4 bits   30.0 %                          0.0188 [0.0169, 0.0206]  0.982
      planned           50.0 %   50.0 %        6.3e-5   0.0001 [0.0001, 0.0001]  1.000    1.70 x
      dense            100.0 %  100.0 %             0        0 [0, 0]            1.000    1.00 x
    Measured on 2040 tokens of validation text, with 95 % intervals. Bytes and predicted time are those
    of the linears, in % of dense. The budget is a KL of 0.02 nats per token, interval included."
  `);
});

test("types of GGUF have the sizes of their files, and the size that was asked for is named", () => {
  const { frontier, ...rest } = madeUpSearch();
  const types = { max_bytes: 1_500_000, bytes: 1_400_000, bits_per_weight: 5, matrices: [] };
  const sized = frontier.map((one, index) => ({ ...one, file_bytes: 1_400_000 * (index + 1) }));
  const text = searchText({ ...rest, max_kl: null, frontier: sized, types }).join("\n");
  expect(text).toContain("* planned, 1.4 MB");
  expect(text).toContain("dense, 4.2 MB");
  expect(text.replaceAll("\n", " ")).toContain(
    "The tensors might take 1.5 MB, and the least KL was looked for.",
  );
});

test("no line is too long, however small or large the KL", () => {
  for (const kl of [0, 1e-12, 3e-5, 0.02, 1, 9.95, 123.4])
    for (const line of searchText(madeUpSearch(kl), 99)) expect(line.length, line).toBeLessThanOrEqual(99);
});

test("where nothing pays the dense plan is the marked one", () => {
  const { frontier, ...rest } = madeUpSearch();
  const last = frontier.length - 1;
  const chosen = frontier.map((one, index) => ({ ...one, chosen: index === last }));
  const lines = searchText({ ...rest, pays: false, frontier: chosen });
  expect(lines.filter((line) => line.startsWith("*"))).toEqual([expect.stringContaining("* dense")]);
});
