/** What the page plots, by Observable Plot. */

const kinds = ["dense", "gated", "tiered", "gated+tiered"];
const kindColours = ["var(--dense)", "var(--gated)", "var(--tiered)", "var(--gated-tiered)"];
const texts = ["held-out", "in-sample"];
const textColours = { domain: texts, range: ["var(--heldout)", "var(--calibration)"], legend: true };

/** Where the name of a horizontal axis stands: below the numbers. */
const below = /** @type {const} */ ({ labelAnchor: "center", labelOffset: 36 });

/** Bytes of every layer, before and after. */
function drawDepth() {
  const layers = [...new Set(data.linears.map(({ layer }) => layer))];
  const label = (/** @type {number | null} */ layer) => (layer === null ? "model" : String(layer));
  const rows = data.linears.map(({ layer, kind, bytes }) => ({
    layer: label(layer),
    kind,
    dense: bytes.dense / 1e6,
    plan: (bytes.plan ?? bytes.slow) / 1e6,
  }));
  const dense = d3.rollups(
    rows,
    (some) => d3.sum(some, ({ dense }) => dense),
    ({ layer }) => layer,
  );
  draw("plot-depth", "Weights read per token along depth: outlined dense, filled in this plan", (width) =>
    Plot.plot({
      width,
      height: 240,
      style: plotStyle,
      marginLeft: 48,
      marginBottom: 44,
      x: {
        domain: layers.map(label),
        label: "layer",
        ...below,
        ticks: everyNth(layers.map(label), width / 28),
      },
      y: { label: "MB", grid: true },
      color: {
        domain: kinds.filter((kind) => rows.some((row) => row.kind === kind)),
        range: kindColours.filter((_, i) => rows.some(({ kind }) => kind === kinds[i])),
        legend: true,
      },
      marks: [
        Plot.barY(rows, {
          x: "layer",
          y: "plan",
          fill: "kind",
          order: kinds,
          title: (row) => `${row.kind}: ${row.plan.toFixed(3)} MB`,
        }),
        Plot.barY(dense, {
          x: "0",
          y: "1",
          fill: "none",
          stroke: "var(--quiet)",
          strokeWidth: 1.25,
          title: (row) => `dense: ${row[1].toFixed(3)} MB`,
        }),
        Plot.ruleY([0]),
      ],
    }),
  );
}

/**
 * What every linear was predicted to take, and what it was measured to. One that took no longer than reading the clock
 * was measured as 0, which has no place on a logarithmic axis.
 */
function drawTimes() {
  const rows = data.linears.flatMap(({ layer, part, kind, seconds, measured }) =>
    seconds.plan === null || measured.plan === null || measured.plan === 0
      ? []
      : [
          {
            name: placeText({ layer, part }),
            kind,
            predicted: 1e6 * seconds.plan,
            taken: 1e6 * measured.plan,
          },
        ],
  );
  const used = kinds.filter((kind) => rows.some((row) => row.kind === kind));
  const values = rows.flatMap(({ predicted, taken }) => [predicted, taken]);
  const ends = [d3.min(values) ?? 1, d3.max(values) ?? 1];
  draw(
    "plot-times",
    "Predicted and measured time of every linear, in us; dashed where they are alike",
    (width) =>
      Plot.plot({
        width,
        height: 300,
        style: plotStyle,
        marginLeft: 60,
        marginBottom: 44,
        insetTop: 8,
        x: {
          type: "log",
          label: "predicted, us",
          ...below,
          grid: true,
          ticks: width < 480 ? 4 : 8,
          tickFormat: "~s",
        },
        y: { type: "log", label: "measured, us", grid: true, ticks: 6, tickFormat: "~s" },
        color: { domain: used, range: used.map((kind) => kindColours[kinds.indexOf(kind)]), legend: true },
        marks: [
          Plot.line(ends, {
            x: (end) => end,
            y: (end) => end,
            stroke: "var(--quiet)",
            strokeDasharray: "6 3",
          }),
          Plot.dot(rows, {
            x: "predicted",
            y: "taken",
            fill: "kind",
            r: 3.5,
            title: (row) =>
              `${row.name}: ${row.predicted.toPrecision(3)} us predicted, ${row.taken.toPrecision(3)} us measured`,
            tip: true,
          }),
        ],
      }),
  );
}

/** Some of the labels of an axis, as many as fit. @param {string[]} labels @param {number} most */
function everyNth(labels, most) {
  const step = Math.max(1, Math.ceil(labels.length / most));
  return labels.filter((_, index) => index % step === 0);
}

/** Fractions of tokens by tier: layers across, a panel per kind of input and text. */
function drawTiers() {
  const tiers = /** @type {const} */ (["fast", "middle", "slow"]);
  const rows = data.inputs.flatMap(({ input, layer, part, heldout, calibration }) =>
    [heldout, calibration].flatMap((shares, text) =>
      shares === null
        ? []
        : tiers.map((tier) => ({
            input,
            tier,
            layer: String(layer ?? "model"),
            kind: part,
            text: texts[text],
            share: 100 * shares[tier],
          })),
    ),
  );
  const used = tiers.filter((tier) => rows.some((row) => row.tier === tier && row.share > 0));
  const colours = { fast: "var(--tiered)", middle: "var(--gated)", slow: "var(--dense)" };
  const kindsOfInput = [...new Set(rows.map(({ kind }) => kind))];
  const layers = [...new Set(rows.map(({ layer }) => layer))];
  draw("plot-tiers", "Tokens by tier", (width) => {
    const wide = width > 640;
    const across = wide ? kindsOfInput.length : texts.length;
    const down = wide ? texts.length : kindsOfInput.length;
    return Plot.plot({
      width,
      height: 80 + 120 * down,
      style: plotStyle,
      marginLeft: 48,
      marginRight: 96,
      marginBottom: 44,
      x: { domain: layers, label: "layer", ...below, ticks: everyNth(layers, width / across / 28) },
      y: { label: "% of tokens", domain: [0, 100], ticks: 4, grid: true },
      fx: { domain: wide ? kindsOfInput : texts, label: null },
      fy: { domain: wide ? texts : kindsOfInput, label: null },
      color: { domain: used, range: used.map((tier) => colours[tier]), legend: true },
      marks: [
        Plot.barY(rows, {
          x: "layer",
          y: "share",
          fill: "tier",
          order: [...tiers],
          fx: wide ? "kind" : "text",
          fy: wide ? "text" : "kind",
          title: (row) => `${row.input}, ${row.text}: ${row.share.toFixed(1)} % ${row.tier}`,
        }),
        Plot.ruleY([0]),
      ],
    });
  });
}
