/** What the user chooses: how answers are generated, and the page's colours. */

/** @type {ChatSettings} */
const defaults = {
  system: "",
  temperature: 0.7,
  topP: 0.95,
  maxTokens: null,
  seed: null,
  alternatives: false,
  key: "",
};

const dialog = find("#settings", HTMLDialogElement);
const settingsForm = find("#settings form", HTMLFormElement);
const themeButton = find("#theme", HTMLButtonElement);

/** @type {ChatSettings} */
const settings = { ...defaults, ...remembered("gsic-settings", {}), key: "" };

/**
 * What was kept in this browser; a browser may forbid it.
 * @template T
 * @param {string} name
 * @param {T} otherwise
 * @returns {T}
 */
function remembered(name, otherwise) {
  try {
    return JSON.parse(localStorage.getItem(name) ?? "null") ?? otherwise;
  } catch {
    return otherwise;
  }
}

/**
 * @param {string} name
 * @param {unknown} value
 */
function remember(name, value) {
  try {
    localStorage.setItem(name, JSON.stringify(value));
  } catch {
    // It then holds until the page is left.
  }
}

function openSettings() {
  for (const [name, value] of Object.entries(settings)) {
    const field = settingsForm.elements.namedItem(name);
    if (field instanceof HTMLInputElement && field.type === "checkbox") field.checked = value === true;
    else if (field instanceof HTMLInputElement || field instanceof HTMLTextAreaElement)
      field.value = value === null ? "" : String(value);
  }
  dialog.showModal();
}

function takeSettings() {
  const data = new FormData(settingsForm);
  const text = (/** @type {string} */ name) => String(data.get(name) ?? "");
  const whole = (/** @type {string} */ name) => (text(name) === "" ? null : Math.round(Number(text(name))));
  settings.system = text("system");
  settings.temperature = Number(text("temperature"));
  settings.topP = Number(text("topP"));
  settings.maxTokens = whole("maxTokens");
  settings.seed = whole("seed");
  settings.alternatives = data.get("alternatives") !== null;
  settings.key = text("key");
  // The key is not left in the browser.
  remember("gsic-settings", { ...settings, key: "" });
}

/** @param {string} theme */
function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  themeButton.textContent = theme === "dark" ? "Light" : "Dark";
  themeButton.setAttribute("aria-label", `Switch to ${theme === "dark" ? "light" : "dark"} colours`);
}

const dark = matchMedia("(prefers-color-scheme: dark)");
setTheme(remembered("gsic-theme", dark.matches ? "dark" : "light"));
dark.addEventListener("change", ({ matches }) =>
  setTheme(remembered("gsic-theme", matches ? "dark" : "light")),
);
themeButton.addEventListener("click", () => {
  const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  remember("gsic-theme", theme);
  setTheme(theme);
});
find("#open-settings", HTMLButtonElement).addEventListener("click", openSettings);
settingsForm.addEventListener("submit", takeSettings);
