/**
 * A list in a dialog, loaded from the server, of which each row can be ended for good.
 *
 * @module account/rows
 */

import { h } from "../view/dom.js";
import { accountSentence } from "./words.js";

/**
 * @typedef {object} Row
 * @property {string} title
 * @property {string} details
 * @property {string} [tooltip]
 * @property {string} [mark]    Said instead of the button.
 * @property {string} [action]  What the button says.
 * @property {() => Promise<void>} [press]
 */

/**
 * @param {() => Promise<Row[]>} load
 * @param {string} empty What is said where there is none.
 * @returns {{element: HTMLElement, reload: () => Promise<void>}}
 */
export function rowsOf(load, empty) {
  const list = h("ul", { class: "rows" });
  const fault = h("p", { class: "form-fault", role: "alert", hidden: true });
  const say = (/** @type {string} */ words) => {
    fault.textContent = words;
    fault.hidden = !words;
  };
  const element = h("div", { "aria-busy": "true" }, list, fault);
  const reload = async () => {
    try {
      const rows = await load();
      list.replaceChildren(...(rows.length ? rows.map(draw) : [h("li", { class: "rows-empty" }, empty)]));
      say("");
    } catch (error) {
      say(accountSentence(error));
    } finally {
      element.setAttribute("aria-busy", "false");
    }
  };
  /** @param {Row} row */
  const draw = ({ title, details, tooltip = "", mark = "", action = "", press }) =>
    h("li", {}, h("div", { class: "row-words", title: tooltip },
      h("strong", {}, title), h("span", {}, details)),
    press ? h("button", { type: "button", class: "text-button", "aria-label": `${action}: ${title}`, on: { click: end(press) } }, action)
      : h("span", { class: "row-mark" }, mark));
  /** @param {() => Promise<void>} press @returns {EventListener} */
  const end = (press) => async ({ currentTarget }) => {
    const button = /** @type {HTMLButtonElement} */ (currentTarget);
    button.disabled = true;
    try {
      await press();
      await reload();
      element.closest("dialog")?.querySelector("button")?.focus();
    } catch (error) {
      button.disabled = false;
      say(accountSentence(error));
    }
  };
  reload();
  return { element, reload };
}
