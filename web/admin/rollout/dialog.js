/**
 * Asks an operator once more before something is done, and for the reason, which the history keeps.
 *
 * @module admin/rollout/dialog
 */

import { NetworkError, ProblemError } from "../../problems.js";
import { newKey } from "../../starting.js";
import { closeOnOutside } from "../../view/dialogs.js";
import { h } from "../../view/dom.js";
import { sentence } from "../words.js";

/** @typedef {import("./words.js").Flag} Flag */

/**
 * @typedef {object} Field
 * @property {string} name
 * @property {string} label
 * @property {"number"|"numbers"|"choice"|"text"} kind
 * @property {string} value
 * @property {string} [hint]
 * @property {[string, string][]} [choices]
 */

/** @typedef {{body?: unknown, version: number, key: string}} Options */

/**
 * @typedef {object} Question
 * @property {(flag: Flag) => string} title
 * @property {(flag: Flag) => string} about
 * @property {string} action  The word on the button.
 * @property {"main"|"danger"} [tone]
 * @property {(flag: Flag) => Field[]} [fields]
 * @property {string} [fold]  Fields are folded away under this.
 * @property {(values: Record<string, unknown>, options: Options) => Promise<unknown>} send
 */

/** One question at a time; told what the flag is like meanwhile, so that a retry means that. */
export class Dialog {
  #key = newKey();
  #lastBody = "";
  /** @type {(isDone: boolean) => void} */
  #resolve = () => {};

  /** @param {Question} question @param {() => Flag} flagNow @param {() => void} signedOut */
  constructor(question, flagNow, signedOut) {
    const flag = flagNow();
    this.question = question;
    this.flagNow = flagNow;
    this.signedOut = signedOut;
    this.seen = flag.version;
    this.fault = h("p", { class: "fault", role: "alert" });
    this.reason = h("textarea", { id: "reason", rows: 2, required: true, maxLength: 500 });
    this.fields = (question.fields?.(flag) ?? []).map(control);
    this.yes = h("button", { type: "submit", class: `button ${question.tone === "danger" ? "danger" : "main-action"}` }, question.action);
    const no = h("button", { type: "button", class: "button", on: { click: () => this.element.close() } }, "Cancel");
    const rows = this.fields.map(({ row }) => row);
    const form = h("form", { on: { submit: (/** @type {Event} */ event) => this.#submit(event) } },
      ...(question.fold ? [h("details", { class: "fold" }, h("summary", {}, question.fold), ...rows)] : rows),
      h("label", { for: "reason" }, "Reason"), this.reason, this.fault,
      h("div", { class: "dialog-buttons" }, no, this.yes));
    this.element = h("dialog", { class: "dialog question", "aria-labelledby": "question-title" },
      h("h2", { id: "question-title" }, question.title(flag)), h("p", {}, question.about(flag)), form);
    closeOnOutside(this.element);
  }

  /** @returns {Promise<boolean>} Whether it was done. */
  ask() {
    document.body.append(this.element);
    this.element.showModal();
    this.reason.focus();
    return new Promise((resolve) => {
      this.#resolve = resolve;
      this.element.addEventListener("close", () => {
        this.element.remove();
        resolve(false);
      });
    });
  }

  /** @param {Event} event */
  async #submit(event) {
    event.preventDefault();
    const values = this.#values();
    if (!values) return;
    this.yes.disabled = true;
    this.fault.textContent = "";
    try {
      await this.question.send(values, { version: this.seen, key: this.#keyFor(values) });
      this.#resolve(true);
      this.element.close();
    } catch (error) {
      this.#refused(error);
    } finally {
      this.yes.disabled = false;
    }
  }

  /** @returns {Record<string, unknown>|null} null: something is missing, and it says so. */
  #values() {
    const reason = this.reason.value.trim();
    if (!reason) return this.#missing("Say why: the history keeps it.", this.reason);
    /** @type {Record<string, unknown>} */
    const values = { reason };
    for (const { field, input } of this.fields) {
      const read = valueOf(field, input.value.trim());
      if (read === null) return this.#missing(`${field.label}: write numbers${field.kind === "numbers" ? ", with commas between them" : ""}.`, input);
      if (read !== undefined) values[field.name] = read;
    }
    return values;
  }

  /** @param {string} words @param {HTMLElement} input @returns {null} */
  #missing(words, input) {
    this.fault.textContent = words;
    input.closest("details")?.setAttribute("open", "");
    input.focus();
    return null;
  }

  /** The same wish has the same key, so that pressing again after a cut does it once. @param {unknown} values */
  #keyFor(values) {
    const body = JSON.stringify([values, this.seen]);
    if (body !== this.#lastBody) this.#key = newKey();
    this.#lastBody = body;
    return this.#key;
  }

  /** @param {unknown} error */
  #refused(error) {
    this.fault.textContent = sentence(error);
    if (error instanceof NetworkError || !(error instanceof ProblemError)) return;
    if (error.status === 401) {
      this.element.close();
      this.signedOut();
    }
    // What is shown behind the dialog is the newest: pressing again means that one.
    if (error.status === 412) this.seen = Number(error.body.version ?? this.flagNow().version);
  }
}

/** @param {Field} field */
function control(field) {
  const id = `field-${field.name}`;
  const input = field.kind === "choice"
    ? h("select", { id }, ...(field.choices ?? []).map(([value, words]) => h("option", { value, selected: value === field.value }, words)))
    : h("input", { id, type: "text", inputMode: field.kind === "text" ? "text" : "decimal", value: field.value, placeholder: field.hint ?? "", autocomplete: "off", maxLength: 400 });
  return { field, input, row: h("div", { class: "field" }, h("label", { for: id }, field.label), input) };
}

/**
 * @param {Field} field @param {string} text
 * @returns {unknown} undefined: left to the server; null: not to be understood.
 */
function valueOf(field, text) {
  if (field.kind === "choice") return text || undefined;
  if (!text) return undefined;
  if (field.kind === "text") return text;
  const numbers = text.split(/[\s,;]+/).filter(Boolean).map(Number);
  if (!numbers.every(Number.isFinite)) return null;
  if (field.kind === "numbers") return numbers;
  return numbers.length === 1 ? numbers[0] : null;
}
