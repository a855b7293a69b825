/**
 * The sign-in forms: an account, or the operators' token for a cookie that no script can read.
 *
 * @module admin/sign_in
 */

import * as calls from "./calls.js";
import { sentence } from "./words.js";
import { find } from "../view/dom.js";

/** @param {boolean} isWanted */
export function showSignIn(isWanted) {
  const section = find("#sign-in", HTMLElement);
  if (section.hidden === !isWanted) return;
  section.hidden = !isWanted;
  if (isWanted) find("#email", HTMLInputElement).focus();
}

/** @param {() => Promise<void>} signedIn */
export function listenToSignIn(signedIn) {
  const token = find("#token", HTMLInputElement);
  const [email, password] = [find("#email", HTMLInputElement), find("#password", HTMLInputElement)];
  listen("#sign-in-form", "#sign-in-fault", token, () => calls.signIn(token.value), signedIn);
  listen("#account-form", "#account-fault", password, () => calls.signInAs(email.value, password.value), signedIn);
  offerProvider();
}

/**
 * @param {string} form @param {string} faultPlace
 * @param {HTMLInputElement} secret Emptied when it was good, marked when it was not.
 * @param {() => Promise<unknown>} prove @param {() => Promise<void>} signedIn
 */
function listen(form, faultPlace, secret, prove, signedIn) {
  const fault = find(faultPlace, HTMLElement);
  const button = find(`${form} button`, HTMLButtonElement);
  find(form, HTMLFormElement).addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    fault.textContent = "";
    try {
      await prove();
      secret.value = "";
      await signedIn();
    } catch (error) {
      fault.textContent = sentence(error);
      secret.select();
    } finally {
      button.disabled = false;
    }
  });
}

async function offerProvider() {
  const link = find("#provider", HTMLAnchorElement);
  const ways = await calls.ways().catch(() => null); // then there is the form alone
  if (!ways?.oidc) return;
  link.textContent = `Sign in with ${ways.oidc.name}`;
  link.href = `${ways.oidc.url}?next=${encodeURIComponent("/admin")}`;
  link.hidden = false;
}
