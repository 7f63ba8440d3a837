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
    ...{ layer: label(layer), kind, dense: bytes.dense / 1e6 },
    plan: (bytes.plan ?? bytes.slow) / 1e6,
  }));
  const dense = d3.rollups(
    rows,
    (some) => d3.sum(some, ({ dense }) => dense),
    ({ layer }) => layer,
  );
  draw("plot-depth", "Weights read per token along depth: outlined dense, filled in this plan", (width) =>
    Plot.plot({
      ...{ width, height: 240, style: plotStyle, marginLeft: 48, marginBottom: 44 },
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

/** What every linear was predicted to take, and what it was measured to. */
function drawTimes() {
  const rows = data.linears.flatMap(({ layer, part, kind, seconds, measured }) =>
    seconds.plan === null || measured.plan === null
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
        ...{ width, height: 300, style: plotStyle, marginLeft: 60, marginBottom: 44, insetTop: 8 },
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
            ...{ x: "predicted", y: "taken", fill: "kind", r: 3.5 },
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

/** Plans that were measured, on the way to the chosen one. */
function drawFrontier() {
  const { search, quoted } = data;
  if (search === null) return;
  /** @param {{ bytes_per_token: number, kl: { value: number, low: number, high: number } }} point @param {string} series */
  const point = ({ bytes_per_token, kl }, series) => ({
    ...{
      bytes: (100 * bytes_per_token) / search.dense.bytes_per_token,
      kl: kl.value,
      low: kl.low,
      high: kl.high,
    },
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
  // The dense model's own KL, 0, has no place on a logarithmic axis.
  const positive = [...planned, ...rounded, ...heldout].filter(({ kl }) => kl > 0);
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
  const chosen = shown.filter((one) => "chosen" in one && one.chosen);
  draw(
    "plot-frontier",
    "KL to the dense model beside the weights that a token reads; fewer of both is better",
    (width) =>
      Plot.plot({
        ...{
          width,
          height: Math.min(400, 200 + width / 4),
          style: plotStyle,
          marginLeft: 60,
          marginBottom: 44,
          insetTop: 16,
          marginRight: 40,
        },
        x: { label: "weights read, % of dense", ...below, grid: true, nice: true },
        y: {
          type: "log",
          label: "KL, nats per token",
          grid: true,
          tickFormat: (/** @type {number} */ value) =>
            Math.log10(value) % 1 === 0 ? d3.format("~g")(value) : "",
        },
        color: { domain: names, range: colours, legend: true },
        marks: [
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
        ],
      }),
  );
}

/** Fractions of tokens by tier: layers across, a panel per kind of input and text. */
function drawTiers() {
  const tiers = /** @type {const} */ (["fast", "middle", "slow"]);
  const rows = data.inputs.flatMap(({ input, layer, heldout, calibration }) =>
    [heldout, calibration].flatMap((shares, text) =>
      shares === null
        ? []
        : tiers.map((tier) => ({
            ...{ input, tier, layer: String(layer ?? "model"), kind: kindOf(input, layer) },
            ...{ text: texts[text], share: 100 * shares[tier] },
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
      ...{
        width,
        height: 80 + 120 * down,
        style: plotStyle,
        marginLeft: 48,
        marginRight: 96,
        marginBottom: 44,
      },
      x: { domain: layers, label: "layer", ...below, ticks: everyNth(layers, width / across / 28) },
      y: { label: "% of tokens", domain: [0, 100], ticks: 4, grid: true },
      fx: { domain: wide ? kindsOfInput : texts, label: null },
      fy: { domain: wide ? texts : kindsOfInput, label: null },
      color: { domain: used, range: used.map((tier) => colours[tier]), legend: true },
      marks: [
        Plot.barY(rows, {
          ...{ x: "layer", y: "share", fill: "tier", order: [...tiers] },
          ...{ fx: wide ? "kind" : "text", fy: wide ? "text" : "kind" },
          title: (row) => `${row.input}, ${row.text}: ${row.share.toFixed(1)} % ${row.tier}`,
        }),
        Plot.ruleY([0]),
      ],
    });
  });
}

/** What an input is, whatever its layer. @param {string} input @param {number | null} layer */
function kindOf(input, layer) {
  return layer === null ? input : input.slice(`layer${layer}_`.length);
}

/** The energy outside k eigenvectors, of every input. */
function drawEnergy() {
  const rows = data.inputs.flatMap(({ input, layer, activations }) =>
    activations === null
      ? []
      : activations.k.map((k, index) => ({
          ...{ input, layer: String(layer ?? "model"), k: String(k) },
          kind: kindOf(input, layer),
          outside: 100 * (activations.outside.heldout[index] ?? 0),
        })),
  );
  const kindsOfInput = [...new Set(rows.map(({ kind }) => kind))];
  const layers = [...new Set(rows.map(({ layer }) => layer))];
  const ks = [...new Set(rows.map(({ k }) => k))].sort((a, b) => Number(b) - Number(a));
  draw(
    "plot-depth-energy",
    "Energy outside the first k eigenvectors on held-out text, in % of E‖x‖²",
    (width) => {
      const across = Math.max(1, Math.min(kindsOfInput.length, Math.floor(width / 240)));
      const column = (/** @type {string} */ kind) => kindsOfInput.indexOf(kind) % across;
      const row = (/** @type {string} */ kind) => Math.floor(kindsOfInput.indexOf(kind) / across);
      const down = Math.ceil(kindsOfInput.length / across);
      return Plot.plot({
        ...{
          width,
          height: 76 + down * (44 + 18 * ks.length),
          style: plotStyle,
          marginLeft: 48,
          marginBottom: 44,
        },
        x: { domain: layers, label: "layer", ...below, ticks: everyNth(layers, width / across / 28) },
        y: { domain: ks, label: "k" },
        fx: { axis: null },
        fy: { axis: null },
        color: {
          type: "linear",
          scheme: "YlGnBu",
          domain: [0, 100],
          legend: true,
          label: "% outside, held-out",
        },
        marks: [
          Plot.cell(rows, {
            x: "layer",
            y: "k",
            fill: "outside",
            fx: (one) => column(one.kind),
            fy: (one) => row(one.kind),
            inset: 0.5,
            title: (one) => `${one.input}, k = ${one.k}: ${one.outside.toFixed(2)} % outside`,
          }),
          Plot.text(kindsOfInput, {
            fx: column,
            fy: row,
            text: (kind) => kind,
            frameAnchor: "top-left",
            dy: -14,
            fontWeight: 600,
          }),
        ],
      });
    },
  );
}

/** One input: what lies outside of k eigenvectors, and how its tokens differ. @param {InputRow} row */
function drawInput({ input, activations }) {
  if (activations === null) return;
  const { k, outside, residuals } = activations;
  /** @param {{ calibration: readonly number[] | null, heldout: readonly number[] }} pair @returns {[string, readonly number[]][]} */
  const both = (pair) => [
    ["held-out", pair.heldout],
    ...(pair.calibration === null
      ? []
      : [/** @type {[string, readonly number[]]} */ (["in-sample", pair.calibration])]),
  ];
  const energies = both(outside).flatMap(([text, values]) =>
    values.map((value, index) => ({ text, k: k[index], value: 100 * value })),
  );
  draw("plot-spectrum", `${input}: energy outside the first k eigenvectors`, (width) =>
    Plot.plot({
      ...{ width, height: 280, style: plotStyle, marginLeft: 48, marginBottom: 44 },
      x: { type: "log", base: 2, label: "k", ...below, ticks: [...k], tickFormat: "d" },
      y: { label: "% of E‖x‖²", grid: true, domain: [0, 100] },
      color: textColours,
      marks: [
        Plot.lineY(energies, { x: "k", y: "value", stroke: "text" }),
        Plot.dot(energies, {
          x: "k",
          y: "value",
          fill: "text",
          symbol: "text",
          title: (one) => `${one.text}, k = ${one.k}: ${one.value.toFixed(2)} %`,
        }),
      ],
    }),
  );
  const epsilon = data.linears.find((linear) => linear.input === input)?.epsilon ?? null;
  const tokens = residuals.flatMap(({ k: one, rho }) =>
    both(rho).flatMap(([text, values]) =>
      values.map((value, index) => ({
        text,
        k: `k = ${one}`,
        value,
        share: (100 * index) / (values.length - 1),
      })),
    ),
  );
  draw("plot-residuals", `${input}: residuals, rho = ‖r‖ / ‖x‖, of its tokens`, (width) =>
    Plot.plot({
      ...{ width, height: 280, style: plotStyle, marginLeft: 48, marginRight: 56, marginBottom: 44 },
      x: { label: "rho", ...below, grid: true, domain: [0, 1] },
      y: { label: "% of tokens below", ticks: 3, domain: [0, 100] },
      fy: { label: null, domain: residuals.map(({ k: one }) => `k = ${one}`) },
      color: textColours,
      marks: [
        ...(epsilon === null
          ? []
          : [Plot.ruleX([epsilon], { stroke: "var(--gated)", strokeDasharray: "6 3" })]),
        Plot.lineX(tokens, { x: "value", y: "share", fy: "k", stroke: "text", z: "text" }),
      ],
    }),
  );
}

/** The choice of an input, and its plots. */
function setUpActivations() {
  const select = /** @type {HTMLSelectElement | null} */ (document.getElementById("activations-input"));
  if (select === null) return;
  const known = data.inputs.filter(({ activations }) => activations !== null);
  for (const { input } of known) select.append(make("option", input, { value: input }));
  const show = () => drawInput(/** @type {InputRow} */ (known.find(({ input }) => input === select.value)));
  select.addEventListener("change", show);
  drawEnergy();
  show();
}
