/**
 * Light, dark, or as the system says; the choice is remembered.
 *
 * @module view/theme
 */

import { icon } from "./dom.js";

const KEY = "chatstream.theme";
const NEXT = /** @type {const} */ ({ system: "light", light: "dark", dark: "system" });
/** @typedef {keyof typeof NEXT} Theme */

/** @returns {Theme} */
function remembered() {
  try {
    const theme = localStorage.getItem(KEY);
    return theme === "light" || theme === "dark" ? theme : "system";
  } catch {
    return "system";
  }
}

/** @param {Theme} theme */
function remember(theme) {
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // Storage is forbidden: the choice lasts as long as the page.
  }
}

/** @param {HTMLButtonElement} button Steps through system, light and dark. */
export function manageTheme(button) {
  let theme = remembered();
  const apply = () => {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    const label = `Colours: ${theme === "system" ? "as the system" : theme}. Change to ${NEXT[theme]}`;
    button.replaceChildren(icon(`theme-${theme}`));
    button.title = label;
    button.setAttribute("aria-label", label);
  };
  button.addEventListener("click", () => {
    theme = NEXT[theme];
    remember(theme);
    apply();
  });
  window.addEventListener("storage", (event) => {
    if (event.key === KEY) { theme = remembered(); apply(); }
  });
  apply();
}
