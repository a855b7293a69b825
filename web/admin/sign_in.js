/**
 * The sign-in form: the operators' token for a cookie that scripts on the page cannot read.
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
  if (isWanted) find("#token", HTMLInputElement).focus();
}

/** @param {() => void} signedIn */
export function listenToSignIn(signedIn) {
  const token = find("#token", HTMLInputElement);
  const fault = find("#sign-in-fault", HTMLElement);
  const button = find("#sign-in-form button", HTMLButtonElement);
  find("#sign-in-form", HTMLFormElement).addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    fault.textContent = "";
    try {
      await calls.signIn(token.value);
      token.value = "";
      signedIn();
    } catch (error) {
      fault.textContent = sentence(error);
      token.select();
    } finally {
      button.disabled = false;
    }
  });
}
