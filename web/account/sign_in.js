/**
 * The dialog for signing in and for creating an account: what the server offers, and nothing else.
 *
 * @module account/sign_in
 */

import { h } from "../view/dom.js";
import { leaveForProvider } from "./account.js";
import { field, formOf, openDialog } from "./forms.js";

const SHORTEST_PASSWORD = 8;
const LONGEST_EMAIL = 254;
const LONGEST_NAME = 100;

/** @typedef {import("./account.js").Account} Account */

/** @type {HTMLDialogElement|null} */
let shown = null;

/**
 * Passwords have no longest length here: a field would cut what is pasted, without a word.
 *
 * @param {Account} account
 * @param {object} [options]
 * @param {boolean} [options.isNew] Begin with creating an account.
 * @param {boolean} [options.isNeeded] There is nothing to see without: it cannot be put away.
 * @param {string} [options.why] Said first.
 */
export function openSignIn(account, { isNew = false, isNeeded = false, why = "" } = {}) {
  closeSignIn();
  const { offers } = account.state;
  const isCreating = isNew && offers.registration;
  const turn = () => openSignIn(account, { isNew: !isCreating, isNeeded });
  shown = openDialog(isCreating ? "Create an account" : "Sign in", [
    ...(why ? [h("p", { class: "form-why" }, why)] : []),
    isCreating ? registration(account) : signIn(account),
    ...(offers.oidc ? [provider(offers.oidc)] : []),
    ...(offers.registration ? [other(isCreating, turn)] : []),
    ...(offers.guests && account.state.status === "ended" ? [asGuest(account)] : []),
  ], { isNeeded });
}

export function closeSignIn() {
  shown?.close();
  shown = null;
}

/** @param {Account} account */
function signIn(account) {
  const email = field("email", "E-mail", {
    type: "email", autocomplete: "username", required: true, maxLength: LONGEST_EMAIL, spellcheck: false,
    value: account.state.user?.email ?? "",
  });
  const password = field("password", "Password", {
    type: "password", autocomplete: "current-password", required: true,
  });
  return formOf([email, password], "Sign in", async () => {
    await account.signIn(email.input.value, password.input.value);
    closeSignIn();
  });
}

/** @param {Account} account */
function registration(account) {
  const name = field("name", "Name (optional)", { type: "text", autocomplete: "name", maxLength: LONGEST_NAME });
  const email = field("email", "E-mail", {
    type: "email", autocomplete: "username", required: true, maxLength: LONGEST_EMAIL, spellcheck: false,
  });
  const password = newPassword("password", "Password");
  const keeps = account.state.status === "guest" ? [h("p", { class: "form-note" }, "Your conversations stay with you.")] : [];
  return formOf([email, name, password], "Create account", async () => {
    await account.register(email.input.value, password.input.value, name.input.value);
    closeSignIn();
  }, keeps);
}

/** @param {string} name @param {string} label */
export function newPassword(name, label) {
  return field(name, label, {
    type: "password", autocomplete: "new-password", required: true, minLength: SHORTEST_PASSWORD,
  }, `At least ${SHORTEST_PASSWORD} characters. Several words are easy to remember and hard to guess.`);
}

/**
 * Away to the provider, and back to the conversation in the address.
 *
 * @param {{name: string, url: string}} offer
 */
function provider({ name, url }) {
  const next = `${location.pathname}${location.hash}`;
  return h("div", { class: "provider" }, h("span", { class: "or" }, "or"),
    h("a", { class: "button", href: `${url}?next=${encodeURIComponent(next)}`, on: { click: leaveForProvider } },
      `Sign in with ${name}`));
}

/** @param {boolean} isCreating @param {() => void} turn */
function other(isCreating, turn) {
  return h("p", { class: "form-other" }, isCreating ? "You have an account? " : "No account yet? ",
    h("button", { type: "button", class: "link-button", on: { click: turn } }, isCreating ? "Sign in" : "Create one"));
}

/** Whose sign-in has ended need not have another. @param {Account} account */
function asGuest(account) {
  const press = async () => {
    closeSignIn();
    await account.signOut();
  };
  return h("p", { class: "form-other" }, h("button", { type: "button", class: "link-button", on: { click: press } }, "Go on without signing in"));
}
