/** What stands beside the graph: all that is known of the chosen box. */

/** @param {string} id */
function showDetails(id) {
  const linear = data.linears.find((row) => row.id === id);
  const other = data.others.find((row) => row.id === id);
  const panel = element("details");
  if (linear !== undefined) panel.replaceChildren(...linearDetails(linear));
  else if (other !== undefined)
    panel.replaceChildren(
      make("h3", placeText(other)),
      facts([["kind", other.kind]]),
      ...kernelLinks(other.kernels),
    );
  panel.scrollTop = 0;
}

/** @param {LinearRow} row */
function linearDetails(row) {
  const { bytes, seconds, measured, dtype, shape, tensor, form, verdict, error, predictedKl, klShare } = row;
  const input = data.inputs.find(({ linears }) => linears.includes(row.id));
  const read =
    bytes.plan === null
      ? `${bytesText(bytes.fast)} to ${bytesText(bytes.slow)}`
      : `${bytesText(bytes.plan)} (${percentText(bytes.plan / bytes.dense)})`;
  const made = [
    make("h3", placeText(row)),
    make("p", verdict),
    facts([
      ["form", form],
      ["weight", `${tensor}, ${dtype} [${shape.join(", ")}]`],
      ["bytes before", bytesText(bytes.dense)],
      ["bytes after", read],
      ["time before", timeText(seconds.dense, measured.dense)],
      ["time after", timeText(seconds.plan, measured.plan)],
      ...(error === null ? [] : [["local error", `${error.toPrecision(3)} = E‖y′ − y‖²`]]),
      ...(predictedKl === null || klShare === null
        ? []
        : [["predicted KL", `${predictedKl.toPrecision(3)}, ${percentText(klShare)} of the plan's`]]),
      ["input", row.input],
      ...(input === undefined ? [] : tierFacts(input)),
    ]),
    ...kernelLinks(row.kernels),
  ];
  if (input?.activations) made.push(activationsLink(row.input));
  return input === undefined ? made : [...made, ...rejectedForms(input)];
}

/** @param {number | null} predicted @param {number | null} measured */
function timeText(predicted, measured) {
  const texts = [
    predicted === null ? "as gates decide" : `${secondsText(predicted)} predicted`,
    ...(measured === null ? [] : [`${secondsText(measured)} measured`]),
  ];
  return texts.join(", ");
}

/** @param {InputRow} input @returns {string[][]} */
function tierFacts({ heldout, calibration }) {
  const text = (/** @type {NonNullable<InputRow["heldout"]>} */ { fast, middle, slow }) =>
    `${percentText(fast)} fast, ${middle > 0 ? `${percentText(middle)} middle, ` : ""}${percentText(slow)} slow`;
  return [
    ...(heldout === null ? [] : [["tiers, held-out", text(heldout)]]),
    ...(calibration === null ? [] : [["tiers, in-sample", text(calibration)]]),
  ];
}

/** @param {InputRow} input */
function rejectedForms({ rejected, dominated, linears }) {
  if (rejected.length + dominated === 0) return [];
  const title = linears.length > 1 ? "Other forms, for all linears of the input" : "Other forms";
  const made = [make("h4", title)];
  for (const { form, bytes, kl, reason } of rejected)
    made.push(
      make("p", `${form}: ${bytesText(bytes)}, predicted KL ${kl.toPrecision(3)}. Rejected: ${reason}.`),
    );
  if (dominated > 0)
    made.push(make("p", `${dominated} more are no faster than dense, or than one that loses no more.`));
  return made;
}

/** @param {readonly string[]} kernels */
function kernelLinks(kernels) {
  if (kernels.length === 0) return [];
  const list = make("p", kernels.length === 1 ? "Kernel: " : "Kernels: ");
  kernels.forEach((symbol, index) => {
    const link = make("a", symbol, { href: `#kernel-${symbol}` });
    link.addEventListener("click", () => openKernel(symbol));
    list.append(...(index === 0 ? [] : [", "]), link);
  });
  return [list];
}

/** @param {string} symbol */
function openKernel(symbol) {
  /** @type {HTMLDetailsElement} */ (element(`kernel-${symbol}`)).open = true;
}

/** @param {string} input */
function activationsLink(input) {
  const line = make("p");
  const link = make("a", "Spectrum and residuals of its input", { href: "#activations-section" });
  link.addEventListener("click", () => {
    const select = /** @type {HTMLSelectElement} */ (element("activations-input"));
    select.value = input;
    select.dispatchEvent(new Event("change"));
  });
  line.append(link);
  return line;
}

/** @param {string[][]} rows */
function facts(rows) {
  const list = make("dl", "", { class: "facts" });
  for (const [name, value] of rows) {
    const row = make("div");
    row.append(make("dt", name), make("dd", value));
    list.append(row);
  }
  return list;
}
