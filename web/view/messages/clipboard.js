/**
 * Copying, also where the page is served without TLS.
 *
 * @module view/messages/clipboard
 */

import { h } from "../dom.js";

/**
 * @param {string} text
 * @returns {Promise<boolean>} Whether it is on the clipboard.
 */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text);
  }
}

/** @param {string} text */
function copyBySelection(text) {
  const focused = document.activeElement;
  const area = h("textarea", { class: "unseen", value: text, "aria-hidden": "true" });
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (focused instanceof HTMLElement) focused.focus();
  return done;
}

/**
 * Make every copy button of a code block work, also of those still to come.
 *
 * @param {HTMLElement} root
 * @param {(text: string) => void} announce
 */
export function copyCodeIn(root, announce) {
  root.addEventListener("click", async (event) => {
    const button = event.target instanceof Element ? event.target.closest(".copy-code") : null;
    const code = button?.closest(".code-frame")?.querySelector("code");
    if (!button || !code) return;
    const done = await copyText(code.textContent ?? "");
    button.textContent = done ? "Copied" : "Not allowed";
    announce(done ? "Code copied." : "Copying was not allowed.");
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
}
