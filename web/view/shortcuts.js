/**
 * Keys that work anywhere on the page, and the list of them.
 *
 * @module view/shortcuts
 */

import { closeOnOutside } from "./dialogs.js";
import { find } from "./dom.js";

/**
 * @typedef {object} KeyActions
 * @property {() => void} stop
 * @property {() => boolean} isBusy
 * @property {() => void} write
 * @property {() => void} begin
 * @property {() => void} speak   Switch speech on or off.
 */

/** @param {KeyActions} actions */
export function listenToKeys(actions) {
  const help = find("#shortcuts", HTMLDialogElement);
  closeOnOutside(help);
  find("#show-shortcuts", HTMLButtonElement).addEventListener("click", () => help.showModal());
  find("#close-shortcuts", HTMLButtonElement).addEventListener("click", () => help.close());
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || document.querySelector("dialog[open]")) return;
    const action = choose(event, actions, help);
    if (!action) return;
    event.preventDefault();
    action();
  });
}

/**
 * @param {KeyboardEvent} event
 * @param {KeyActions} actions
 * @param {HTMLDialogElement} help
 * @returns {(() => void)|null}
 */
function choose(event, actions, help) {
  const isControl = event.ctrlKey || event.metaKey;
  if (isControl && event.shiftKey && event.key.toLowerCase() === "o") return actions.begin;
  if (isControl && event.shiftKey && event.key.toLowerCase() === "l") return actions.speak;
  if (isControl || event.altKey) return null;
  if (event.key === "Escape" && actions.isBusy()) return actions.stop;
  if (isWriting(event.target)) return null;
  if (event.key === "/") return actions.write;
  return event.key === "?" ? () => help.showModal() : null;
}

/** @param {EventTarget|null} target */
function isWriting(target) {
  return target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement;
}
