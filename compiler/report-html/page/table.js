/** The table of linears: sorted and filtered. */

function setUpTable() {
  const table = element("linears");
  const body = /** @type {HTMLElement} */ (table.querySelector("tbody"));
  const rows = /** @type {HTMLTableRowElement[]} */ ([...body.children]);
  table.querySelectorAll("thead th").forEach((heading, column) => {
    const button = make("button", heading.textContent ?? "", { type: "button" });
    button.addEventListener("click", () => sortBy(column));
    heading.replaceChildren(button);
  });
  for (const button of /** @type {NodeListOf<HTMLElement>} */ (table.querySelectorAll("[data-show]")))
    button.addEventListener("click", () => {
      element("graph-section").scrollIntoView();
      chooseById(button.dataset.show ?? "");
    });

  /** @param {number} column */
  function sortBy(column) {
    const headings = [...table.querySelectorAll("thead th")];
    const heading = /** @type {Element} */ (headings[column]);
    const ascending = heading.getAttribute("aria-sort") !== "ascending";
    for (const other of headings) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    const key = (/** @type {HTMLTableRowElement} */ row) => {
      const cell = /** @type {HTMLElement} */ (row.cells[column]);
      const text = cell.dataset.value ?? cell.textContent ?? "";
      return text !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
    };
    const order = ascending ? d3.ascending : d3.descending;
    body.append(...d3.sort(rows, (a, b) => order(key(a), key(b))));
  }

  const filter = /** @type {HTMLInputElement} */ (element("linears-filter"));
  const apply = () => {
    const wanted = filter.value.trim().toLowerCase().replace(/\s+/g, " ");
    for (const row of rows) {
      const text = ["layer", ...[...row.cells].map((cell) => cell.textContent)].join(" ").toLowerCase();
      row.hidden = !text.includes(wanted);
    }
    const shown = rows.filter(({ hidden }) => !hidden).length;
    element("linears-count").textContent = `${shown} of ${rows.length}`;
  };
  filter.addEventListener("input", apply);
  apply();
}
