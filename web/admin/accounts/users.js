/**
 * Who may sign in: found by address, changed and shut out, each time with a reason.
 *
 * @module admin/accounts/users
 */

import { ProblemError } from "../../problems.js";
import { h } from "../../view/dom.js";
import * as calls from "../calls.js";
import { Dialog } from "../rollout/dialog.js";
import { moment, sentence } from "../words.js";
import { actionsOf, CREATE } from "./actions.js";

/** @typedef {import("../calls.js").User} User */
/** @typedef {{announce: (text: string) => void, signedOut: (why: string) => void, look: (user: User) => void}} Around */

const WAIT_MS = 250;

export class Users {
  /** @type {string|null} */
  #next = null;
  #asked = 0;
  #timer = 0;

  /** @param {HTMLElement} place @param {Around} around */
  constructor(place, around) {
    this.around = around;
    this.search = h("input", { id: "users-search", type: "search", placeholder: "Part of an address", autocomplete: "off", spellcheck: false, maxLength: 254, on: { input: () => this.#soon() } });
    this.fault = h("p", { class: "fault", role: "status" });
    this.list = h("ul", { class: "users" });
    this.more = h("button", { type: "button", class: "text-button", hidden: true, on: { click: () => this.#read(this.#next) } }, "Show more");
    const add = h("button", { type: "button", class: "button", on: { click: () => this.#ask(CREATE, null) } }, "New user");
    place.replaceChildren(
      h("div", { class: "accounts-top" }, h("h2", { id: "users-title" }, "Users"),
        h("label", { for: "users-search", class: "unseen" }, "Find users by address"), this.search, add),
      this.fault, this.list, this.more);
  }

  load() {
    return this.#read(null);
  }

  /** Leave nothing on the screen for whoever comes next. */
  clear() {
    this.#asked += 1;
    this.search.value = "";
    this.list.replaceChildren();
    this.more.hidden = true;
  }

  #soon() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.load(), WAIT_MS);
  }

  /** @param {string|null} cursor */
  async #read(cursor) {
    this.#asked += 1;
    const asked = this.#asked;
    try {
      const page = await calls.users(this.search.value.trim(), cursor);
      if (asked !== this.#asked) return;
      this.fault.textContent = "";
      this.#next = page.next;
      this.more.hidden = page.next === null;
      const rows = page.users.map((user) => this.#row(user));
      if (cursor === null) this.list.replaceChildren(...(rows.length ? rows : [h("li", { class: "quiet" }, "Nobody has such an address.")]));
      else this.list.append(...rows);
    } catch (error) {
      if (asked === this.#asked) this.#refused(error);
    }
  }

  /** @param {User} user */
  #row(user) {
    const devices = h("ul", { class: "devices" });
    const fault = h("p", { class: "fault", role: "status" });
    const opened = h("details", { class: "user", on: { toggle: () => { if (opened.open) this.#showDevices(user, devices, fault); } } },
      h("summary", {}, h("span", { class: "user-name" }, user.email), user.name ? h("span", { class: "quiet" }, user.name) : null,
        user.role === "admin" ? h("span", { class: "pill small" }, "Admin") : null,
        user.is_disabled ? h("span", { class: "pill small", "data-tone": "unhealthy" }, "Disabled") : null),
      h("p", { class: "quiet" }, `Since ${moment(user.created_at)} · signs in with ${waysOf(user)} · ${user.user_id}`),
      h("div", { class: "user-buttons" },
        ...actionsOf(user).map((action) => h("button", { type: "button", class: `button${action.tone === "danger" ? " danger-quiet" : ""}`, on: { click: () => this.#ask(action, user) } }, action.action)),
        h("button", { type: "button", class: "button", on: { click: () => this.around.look(user) } }, "What was done")),
      devices, fault);
    return h("li", {}, opened);
  }

  /** @param {User} user @param {HTMLElement} place @param {HTMLElement} fault */
  async #showDevices(user, place, fault) {
    try {
      const { sessions } = await calls.sessionsOf(user.user_id);
      const rows = sessions.map((each) => h("li", {}, each.client || "Unknown client",
        h("span", { class: "quiet" }, ` since ${moment(each.created_at)}, last seen ${moment(each.refreshed_at)}, from ${each.address}`)));
      place.replaceChildren(...(rows.length ? rows : [h("li", { class: "quiet" }, "Signed in nowhere.")]));
      fault.textContent = "";
    } catch (error) {
      fault.textContent = sentence(error);
    }
  }

  /** @param {import("./actions.js").Action} action @param {User|null} user */
  async #ask(action, user) {
    const about = /** @type {any} */ (user ?? { version: 0 });
    /** @type {import("../rollout/dialog.js").Question} */
    const question = {
      ...action,
      title: () => action.title(about),
      about: () => action.about(about),
      send: (values, options) => action.send(about, values, options),
    };
    const dialog = new Dialog(question, () => about, () => this.around.signedOut("Your sign-in has ended. Sign in again."));
    if (!(await dialog.ask())) return;
    this.around.announce(`Done: ${action.title(about).replace(/\?$/, "")}.`);
    await this.load();
  }

  /** @param {unknown} error */
  #refused(error) {
    if (error instanceof ProblemError && error.status === 401) this.around.signedOut("Your sign-in has ended. Sign in again.");
    else this.fault.textContent = sentence(error);
  }
}

/** @param {User} user */
function waysOf(user) {
  const providers = user.identities.map(({ issuer }) => issuer.replace(/^https?:\/\//, ""));
  return [...(user.has_password ? ["a password"] : []), ...new Set(providers)].join(" and ") || "nothing yet";
}
