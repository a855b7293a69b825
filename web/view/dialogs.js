/**
 * Questions and lists that stand over the page, and notices that pass.
 *
 * @module view/dialogs
 */

import { find, h, iconButton } from "./dom.js";

/**
 * @param {string} title
 * @param {string} text
 * @param {string} action
 * @returns {Promise<boolean>} Whether the user is sure. Escape and a click outside mean no.
 */
export function confirm(title, text, action) {
  return new Promise((resolve) => {
    const yes = h("button", { type: "button", class: "button danger" }, action);
    const no = h("button", { type: "button", class: "button" }, "Cancel");
    const dialog = h("dialog", { class: "dialog", "aria-label": title },
      h("h2", {}, title), h("p", {}, text), h("div", { class: "dialog-buttons" }, no, yes));
    yes.addEventListener("click", () => dialog.close("yes"));
    no.addEventListener("click", () => dialog.close());
    closeOnOutside(dialog);
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
    no.focus();
  });
}

/** @param {HTMLDialogElement} dialog */
export function closeOnOutside(dialog) {
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
}

/** @type {{timer: number}} */
const shown = { timer: 0 };

/**
 * Show one notice, in place of the last.
 *
 * @param {string} text Empty takes the notice away.
 * @param {number} [seconds] 0: until it is closed or replaced.
 * @param {{label: string, press: () => void}} [choice] What can be done about it.
 */
export function notify(text, seconds = 0, choice) {
  const place = find("#notice", HTMLElement);
  clearTimeout(shown.timer);
  place.hidden = !text;
  const button = choice ? h("button", { type: "button", class: "text-button", on: { click: choice.press } }, choice.label) : "";
  place.replaceChildren(h("span", {}, text), button, iconButton("cross", "Close this notice", () => notify("")));
  if (text && seconds) shown.timer = setTimeout(() => notify(""), seconds * 1000);
}
