/** Light or dark: as the system has it, or as the switch was last set. Loaded before the page is first drawn. */

const KEY = "frame-forecast.theme";
const system = matchMedia("(prefers-color-scheme: dark)");

const systems = () => (system.matches ? "dark" : "light");

function remembered() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null; // storage is blocked: the system's choice it is
  }
}

function apply(theme) {
  document.documentElement.dataset.theme = theme;
  document.getElementById("theme")?.setAttribute("aria-pressed", String(theme === "dark"));
  document.dispatchEvent(new Event("theme"));
}

/** Makes the button switch, and remember. */
export function startTheme() {
  const button = document.getElementById("theme");
  apply(remembered() ?? systems());
  button.addEventListener("click", () => {
    const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    try {
      if (theme === systems()) localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, theme);
    } catch {
      // Not remembered, but switched.
    }
    apply(theme);
  });
  system.addEventListener("change", () => apply(remembered() ?? systems()));
}

apply(remembered() ?? systems());
