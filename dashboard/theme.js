// Dark or light: as the system says, or as somebody chose here.

import { byId, setText } from "./dom.js";

const NAME = "usdcop-theme";
const system = matchMedia("(prefers-color-scheme: dark)");

function isDark() {
  const chosen = localStorage.getItem(NAME);
  return chosen === null ? system.matches : chosen === "dark";
}

function apply() {
  const chosen = localStorage.getItem(NAME);
  if (chosen === null) delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = chosen;
  setText(byId("theme"), isDark() ? "Light colours" : "Dark colours");
}

export function prepareTheme() {
  apply();
  byId("theme").addEventListener("click", () => {
    localStorage.setItem(NAME, isDark() ? "light" : "dark");
    apply();
  });
  system.addEventListener("change", apply);
}
