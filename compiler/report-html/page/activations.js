/* How the inputs of linears lie in subspaces. */

/** The energy outside k eigenvectors, of every input. */
function drawEnergy() {
  const rows = data.inputs.flatMap(({ input, layer, part, activations }) =>
    activations === null
      ? []
      : activations.k.map((k, index) => ({
          input,
          layer: String(layer ?? "model"),
          k: String(k),
          kind: part,
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
        width,
        height: 76 + down * (44 + 18 * ks.length),
        style: plotStyle,
        marginLeft: 48,
        marginBottom: 44,
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
      width,
      height: 280,
      style: plotStyle,
      marginLeft: 48,
      marginBottom: 44,
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
      width,
      height: 280,
      style: plotStyle,
      marginLeft: 48,
      marginRight: 56,
      marginBottom: 44,
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
