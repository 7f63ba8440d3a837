/** Sets the page up. */

/** Follows the system's colours, or those that were chosen. */
function setUpTheme() {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const choices = ["automatic", "light", "dark"];
  let chosen = 0;
  const apply = () => {
    const theme = chosen === 0 ? (system.matches ? "dark" : "light") : choices[chosen];
    document.documentElement.dataset.theme = theme;
    element("theme").textContent = `Theme: ${choices[chosen]}`;
  };
  element("theme").addEventListener("click", () => {
    chosen = (chosen + 1) % choices.length;
    apply();
  });
  system.addEventListener("change", apply);
  apply();
}

setUpTheme();
setUpGraph();
setUpTable();
drawDepth();
drawTimes();
drawFrontier();
drawTiers();
setUpActivations();
for (const kernel of /** @type {NodeListOf<HTMLDetailsElement>} */ (
  document.querySelectorAll("details.kernel")
))
  if (location.hash === `#${kernel.id}`) kernel.open = true;
