/**
 * The parts that dialogs about accounts are made of: labelled fields, faults beside them, a busy
 * state, and the dialog itself.
 *
 * @module account/forms
 */

import { h } from "../view/dom.js";
import { accountSentence, fieldFault } from "./words.js";

let lastId = 0;

/**
 * @typedef {object} Field
 * @property {HTMLElement} element
 * @property {HTMLInputElement} input
 * @property {string} name
 * @property {(words: string) => void} blame  Say what is wrong with it; empty: nothing.
 */

/**
 * @param {string} name As the server calls it.
 * @param {string} label
 * @param {Record<string, any>} properties Of the input.
 * @param {string} [hint]
 * @returns {Field}
 */
export function field(name, label, properties, hint = "") {
  lastId += 1;
  const [id, hintId, faultId] = [`field-${lastId}`, `hint-${lastId}`, `fault-${lastId}`];
  const input = h("input", { id, name, ...properties });
  const fault = h("p", { id: faultId, class: "field-fault", hidden: true });
  const blame = (/** @type {string} */ words) => {
    fault.textContent = words;
    fault.hidden = !words;
    if (words) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
  };
  input.setAttribute("aria-describedby", hint ? `${faultId} ${hintId}` : faultId);
  input.addEventListener("input", () => blame(""));
  const box = properties.type === "password" ? withShow(input, label) : input;
  const element = h("div", { class: "field" }, h("label", { for: id }, label), box, fault,
    hint ? h("p", { id: hintId, class: "field-hint" }, hint) : null);
  return { element, input, name, blame };
}

/** A password that can be looked at while it is typed. @param {HTMLInputElement} input @param {string} label */
function withShow(input, label) {
  const button = h("button", { type: "button", class: "show-password", "aria-pressed": "false", "aria-label": `Show: ${label}` }, "Show");
  button.addEventListener("click", () => {
    const isShown = input.type === "password";
    input.type = isShown ? "text" : "password";
    button.textContent = isShown ? "Hide" : "Show";
    button.setAttribute("aria-pressed", String(isShown));
    input.focus();
  });
  return h("div", { class: "password-box" }, input, button);
}

/**
 * A form whose button is busy while its answer is awaited, and whose faults stand where they belong.
 *
 * @param {Field[]} fields
 * @param {string} action What its button says.
 * @param {() => Promise<void>} submit
 * @param {Node[]} [between] What stands between the fields and the button.
 * @returns {HTMLFormElement}
 */
export function formOf(fields, action, submit, between = []) {
  const button = h("button", { type: "submit", class: "button primary" }, action);
  const fault = h("p", { class: "form-fault", role: "alert", hidden: true });
  const form = h("form", { class: "form", noValidate: true },
    ...fields.map((one) => one.element), ...between, fault, h("div", { class: "dialog-buttons" }, button));
  const blame = (/** @type {unknown} */ error) => {
    const about = fieldFault(error);
    const blamed = fields.find((one) => one.name === about?.field);
    if (about && blamed) blamed.blame(about.words);
    fault.textContent = blamed ? "" : accountSentence(error);
    fault.hidden = Boolean(blamed);
    (blamed ?? fields[0])?.input.focus();
  };
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (form.getAttribute("aria-busy") === "true" || !isFilled(fields)) return;
    fault.hidden = true;
    setBusy(form, true);
    try {
      await submit();
      setBusy(form, false);
    } catch (error) {
      setBusy(form, false);
      blame(error);
    }
  });
  return form;
}

/** @param {HTMLFormElement} form @param {boolean} isBusy */
function setBusy(form, isBusy) {
  form.setAttribute("aria-busy", String(isBusy));
  for (const button of form.querySelectorAll("button")) button.disabled = isBusy;
}

/** The browser's own checks, in our words and our place. @param {Field[]} fields */
function isFilled(fields) {
  for (const { input } of fields) input.value = input.type === "password" ? input.value : input.value.trim();
  const faulty = fields.filter(({ input }) => faultOf(input));
  for (const { input, blame } of faulty) blame(faultOf(input));
  faulty[0]?.input.focus();
  return !faulty.length;
}

/** Length is looked at here: browsers do so only for what was typed. @param {HTMLInputElement} input */
function faultOf({ validity, type, minLength, value }) {
  if (validity.valueMissing) return "Fill this in.";
  if (value && [...value].length < minLength) return `Use at least ${minLength} characters.`;
  if (validity.valid) return "";
  return type === "email" ? "This is not an e-mail address. Check it." : "This cannot be used. Change it.";
}

/**
 * Show a dialog over the page; the browser gives the focus back to where it was.
 *
 * @param {string} title
 * @param {Node[]} content
 * @param {{isNeeded?: boolean}} [options] `isNeeded`: it cannot be put away.
 * @returns {HTMLDialogElement}
 */
export function openDialog(title, content, { isNeeded = false } = {}) {
  lastId += 1;
  const id = `dialog-${lastId}`;
  const heading = h("h2", { id }, title);
  const dialog = h("dialog", { class: "dialog account-dialog", "aria-labelledby": id },
    isNeeded ? heading : h("div", { class: "dialog-head" }, heading,
      h("button", { type: "button", class: "text-button", on: { click: () => dialog.close() } }, "Close")),
    ...content);
  // Not closed by a click beside it, as others are: what was typed would be gone.
  dialog.addEventListener("keydown", (event) => { if (isNeeded && event.key === "Escape") event.preventDefault(); });
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  [...dialog.querySelectorAll("input")].find(({ value, hidden }) => !value && !hidden)?.focus();
  return dialog;
}
