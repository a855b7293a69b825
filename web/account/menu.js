/**
 * The account at the foot of the side: «Sign in» for guests, a menu for who is signed in.
 *
 * @module account/menu
 */

import { notify } from "../view/dialogs.js";
import { h, icon } from "../view/dom.js";
import { openDeletion } from "./deletion.js";
import { openDevices } from "./devices.js";
import { openKeys } from "./keys.js";
import { openPassword } from "./password.js";
import { openSignIn } from "./sign_in.js";
import { accountSentence } from "./words.js";

/** @typedef {import("./account.js").State} State */

/** Shows who is signed in, and what they can do about it. */
export class AccountMenu {
  /** @param {HTMLElement} root @param {import("./account.js").Account} account */
  constructor(root, account) {
    this.root = root;
    this.account = account;
    root.addEventListener("keydown", (event) => this.#key(event));
    document.addEventListener("click", (event) => {
      if (event.target instanceof Node && !root.contains(event.target)) this.#open(false);
    });
  }

  /** @param {State} state */
  draw(state) {
    if (state.status === "unknown") this.root.replaceChildren();
    else if (state.status === "user" && state.user) this.root.replaceChildren(...this.#signedIn(state, state.user));
    else this.root.replaceChildren(...this.#signedOut(state));
  }

  /** @param {State} state */
  #signedOut({ offers }) {
    const signIn = h("button", { type: "button", class: "account-button", on: { click: () => openSignIn(this.account) } },
      icon("person"), h("span", {}, "Sign in"));
    if (!offers.registration) return [signIn];
    return [signIn, h("button", { type: "button", class: "account-new", on: { click: () => openSignIn(this.account, { isNew: true }) } }, "Create account")];
  }

  /** @param {State} state @param {import("./calls.js").User} user */
  #signedIn(state, user) {
    const name = user.name || user.email || "Signed in";
    const button = h("button", {
      type: "button", class: "account-button", title: user.email ?? "", "aria-haspopup": "menu", "aria-expanded": "false",
      on: { click: () => this.#open(!this.#isOpen) },
    }, icon("person"), h("span", {}, name), user.role === "admin" ? h("em", {}, "admin") : null);
    const item = (/** @type {string} */ words, /** @type {() => void} */ press) =>
      h("button", { type: "button", role: "menuitem", tabIndex: -1, on: { click: () => { this.#open(false); press(); } } }, words);
    const menu = h("div", { class: "account-menu", role: "menu", "aria-label": "Account", hidden: true },
      h("p", { role: "none" }, user.email ?? ""),
      user.has_password ? item("Change password", () => openPassword(state)) : null,
      item("Your devices", openDevices),
      item("API keys", () => openKeys(state)),
      user.role === "admin" ? h("a", { role: "menuitem", tabIndex: -1, href: "/admin" }, "Operators' page") : null,
      user.role === "user" ? item("Delete account", () => openDeletion(this.account)) : null,
      item("Sign out", () => this.#signOut(false)),
      item("Sign out everywhere", () => this.#signOut(true)));
    return [menu, button];
  }

  /** @param {boolean} everywhere */
  async #signOut(everywhere) {
    try {
      await this.account.signOut(everywhere);
      this.root.querySelector("button")?.focus();
    } catch (error) {
      notify(`You are still signed in. ${accountSentence(error)}`);
    }
  }

  get #menu() {
    return this.root.querySelector("[role=menu]");
  }

  get #isOpen() {
    return this.#menu instanceof HTMLElement && !this.#menu.hidden;
  }

  /** @param {boolean} isOpen */
  #open(isOpen) {
    const menu = this.#menu;
    if (!(menu instanceof HTMLElement) || menu.hidden === !isOpen) return;
    const button = this.root.querySelector("[aria-haspopup]");
    const hadFocus = menu.contains(document.activeElement);
    menu.hidden = !isOpen;
    button?.setAttribute("aria-expanded", String(isOpen));
    if (isOpen) this.#items[0]?.focus();
    else if (hadFocus && button instanceof HTMLElement) button.focus();
  }

  get #items() {
    return /** @type {HTMLElement[]} */ ([...this.root.querySelectorAll("[role=menuitem]")]);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (!this.#isOpen) return;
    const items = this.#items;
    const at = items.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    const goTo = { ArrowDown: at + 1, ArrowUp: at < 0 ? -1 : at - 1, Home: 0, End: -1 }[event.key];
    if (goTo !== undefined) items.at(goTo % items.length)?.focus();
    else if (event.key === "Escape") this.#open(false);
    else if (event.key === "Tab") return this.#open(false);
    else return;
    // The drawer around it must not close as well.
    event.preventDefault();
    event.stopPropagation();
  }
}
