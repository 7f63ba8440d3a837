/* The frontier of plans. */

/** The plans that were measured, plain rounding, and the chosen plan on held-out text. @param {NonNullable<PageData["search"]>} search */
function frontierPoints(search) {
  const { quoted } = data;
  /** @param {{ bytes_per_token: number, kl: { value: number, low: number, high: number } }} point @param {string} series */
  const point = ({ bytes_per_token, kl }, series) => ({
    bytes: (100 * bytes_per_token) / search.dense.bytes_per_token,
    kl: kl.value,
    low: kl.low,
    high: kl.high,
    series,
  });
  const planned = search.frontier.map((one) => ({ ...point(one, "planned"), chosen: one.chosen }));
  const rounded = search.round_to_nearest.map((one) => ({
    ...point(one, "round to nearest"),
    bits: one.bits,
  }));
  const heldout = quoted?.heldout
    ? [{ ...point({ bytes_per_token: quoted.bytes, kl: quoted.heldout.kl }, "the plan on held-out text") }]
    : [];
  return [...planned, ...rounded, ...heldout];
}

/** Plans that were measured, on the way to the chosen one. */
function drawFrontier() {
  const { search } = data;
  if (search === null) return;
  // The dense model's own KL, 0, has no place on a logarithmic axis.
  const positive = frontierPoints(search).filter(({ kl }) => kl > 0);
  const least = d3.min(positive, ({ kl }) => kl) ?? 1e-6;
  const shown = positive.map((one) => ({ ...one, low: Math.max(one.low, least / 2) }));
  const names = [...new Set(shown.map(({ series }) => series))];
  const colours = names.map((name) =>
    name === "planned"
      ? "var(--tiered)"
      : name === "round to nearest"
        ? "var(--dense)"
        : "var(--calibration)",
  );
  const budgets = search.max_kl === null ? [] : [search.max_kl];
  draw(
    "plot-frontier",
    "KL to the dense model beside the weights that a token reads; fewer of both is better",
    (width) =>
      Plot.plot({
        width,
        height: Math.min(400, 200 + width / 4),
        style: plotStyle,
        marginLeft: 60,
        marginBottom: 44,
        insetTop: 16,
        marginRight: 40,
        x: { label: "weights read, % of dense", ...below, grid: true, nice: true },
        y: {
          type: "log",
          label: "KL, nats per token",
          grid: true,
          tickFormat: (/** @type {number} */ value) =>
            Math.log10(value) % 1 === 0 ? d3.format("~g")(value) : "",
        },
        color: { domain: names, range: colours, legend: true },
        marks: frontierMarks(shown, budgets),
      }),
  );
}

/**
 * What stands in the plot of the frontier. Points of a budget and of the chosen plan are marked by name.
 * @param {(ReturnType<typeof frontierPoints>[number] & { low: number })[]} shown @param {number[]} budgets
 */
function frontierMarks(shown, budgets) {
  const chosen = shown.filter((one) => "chosen" in one && one.chosen);
  return [
    Plot.ruleY(budgets, { stroke: "var(--gated)", strokeDasharray: "6 3" }),
    Plot.text(budgets, {
      y: (value) => value,
      text: () => "budget",
      frameAnchor: "right",
      dy: -8,
      fill: "var(--gated)",
    }),
    Plot.lineY(
      shown.filter(({ series }) => !series.startsWith("the plan")),
      { x: "bytes", y: "kl", stroke: "series", sort: "bytes" },
    ),
    Plot.ruleX(shown, { x: "bytes", y1: "low", y2: "high", stroke: "series", strokeWidth: 2 }),
    Plot.dot(shown, {
      x: "bytes",
      y: "kl",
      fill: "series",
      r: 4,
      symbol: (one) => one.series,
      title: (one) =>
        `${one.series}${"bits" in one ? `, ${one.bits} bits` : ""}: ${one.bytes.toFixed(1)} % of the bytes, KL ${one.kl.toPrecision(3)}`,
      tip: true,
    }),
    Plot.dot(chosen, { x: "bytes", y: "kl", r: 8, stroke: "var(--accent)", strokeWidth: 2 }),
    Plot.text(chosen, {
      x: "bytes",
      y: "kl",
      text: () => "chosen",
      dx: 12,
      textAnchor: "start",
      fill: "var(--accent)",
    }),
    Plot.text(
      shown.filter((one) => "bits" in one),
      { x: "bytes", y: "kl", text: (one) => `${one.bits} bits`, dy: -12, fill: "var(--quiet)" },
    ),
  ];
}
