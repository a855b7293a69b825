/**
 * The audit log: who did what to whom, when and why.
 *
 * @module admin/accounts/audit
 */

import { ProblemError } from "../../problems.js";
import { h } from "../../view/dom.js";
import * as calls from "../calls.js";
import { moment, sentence } from "../words.js";

/** @typedef {import("../calls.js").Entry} Entry */

export class Audit {
  /** @type {{user_id: string, email: string}|null} */
  #about = null;
  /** @type {string|null} */
  #next = null;
  #asked = 0;

  /** @param {HTMLElement} place @param {{signedOut: (why: string) => void}} around */
  constructor(place, around) {
    this.place = place;
    this.around = around;
    this.title = h("h2", { id: "audit-title", tabIndex: -1 }, "What was done");
    this.all = h("button", { type: "button", class: "text-button", hidden: true, on: { click: () => this.#show(null) } }, "Show all");
    this.fault = h("p", { class: "fault", role: "status" });
    this.list = h("ol", { class: "log" });
    this.more = h("button", { type: "button", class: "text-button", hidden: true, on: { click: () => this.#read(this.#next) } }, "Show earlier");
    place.replaceChildren(h("div", { class: "accounts-top" }, this.title, this.all), this.fault, this.list, this.more);
  }

  load() {
    return this.#read(null);
  }

  /** @param {{user_id: string, email: string}} user */
  about(user) {
    this.#show(user);
    this.place.scrollIntoView({ block: "start" });
    this.title.focus();
  }

  /** Leave nothing on the screen for whoever comes next. */
  clear() {
    this.#asked += 1;
    this.#about = null;
    this.list.replaceChildren();
    this.more.hidden = true;
  }

  /** @param {{user_id: string, email: string}|null} user */
  #show(user) {
    this.#about = user;
    this.title.textContent = user ? `What was done to ${user.email}` : "What was done";
    this.all.hidden = user === null;
    this.load();
  }

  /** @param {string|null} cursor */
  async #read(cursor) {
    this.#asked += 1;
    const asked = this.#asked;
    try {
      const page = await calls.entries(this.#about?.user_id ?? "", cursor);
      if (asked !== this.#asked) return;
      this.fault.textContent = "";
      this.#next = page.next;
      this.more.hidden = page.next === null;
      const rows = page.entries.map(row);
      if (cursor === null) this.list.replaceChildren(...(rows.length ? rows : [h("li", { class: "quiet" }, "Nothing yet.")]));
      else this.list.append(...rows);
    } catch (error) {
      if (asked !== this.#asked) return;
      if (error instanceof ProblemError && error.status === 401) this.around.signedOut("Your sign-in has ended. Sign in again.");
      else this.fault.textContent = `The log cannot be read. ${sentence(error)}`;
    }
  }
}

/** @param {Entry} entry */
function row(entry) {
  const details = detailsOf(entry.details);
  return h("li", { "data-action": entry.action },
    h("p", {}, h("strong", {}, entry.action), ` · ${entry.subject}`),
    entry.why ? h("p", { class: "why" }, entry.why) : null,
    details ? h("p", { class: "quiet" }, details) : null,
    h("p", { class: "quiet" }, [moment(entry.at), `by ${entry.who || "nobody known"}`, entry.address && `from ${entry.address}`].filter(Boolean).join(" · ")));
}

/** @param {Record<string, any>} details @returns {string} */
export function detailsOf(details) {
  return Object.entries(details).map(([name, value]) => (value !== null && typeof value === "object" && "after" in value
    ? `${name}: ${shown(value.before)} → ${shown(value.after)}` : `${name}: ${shown(value)}`)).join(", ");
}

/** @param {unknown} value */
const shown = (value) => (typeof value === "string" ? value || "(empty)" : JSON.stringify(value));
