/**
 * What is said about sign-ins: every failure in a sentence that says what to do.
 *
 * @module account/words
 */

import { ProblemError, sentence } from "../problems.js";

/** Codes that a sign-in with a provider comes back with. @type {Record<string, string>} */
const BY_RETURN = {
  expired: "That sign-in took too long, or was begun in another window. Sign in again.",
  refused: "The sign-in was cancelled. Sign in again when you are ready.",
  provider_unavailable: "The sign-in service does not answer. Try again in a moment.",
  provider_untrusted: "The sign-in service gave an answer that cannot be trusted. Try again; if it happens again, tell the operator.",
  email_missing: "The sign-in service did not name your e-mail address. Allow it to, then sign in again.",
  email_not_verified: "Your e-mail address is not confirmed there yet. Confirm it, then sign in again.",
  email_in_use: "There is an account with this e-mail address already. Sign in to it with its password.",
  registration_closed: "You have no account here yet, and new ones are made by the operator. Ask them for one.",
  account_disabled: "This account is switched off. Ask the operator to switch it on.",
  unavailable: "Signing in does not work right now. Try again in a moment.",
};

/** @param {string} code Of `?sign_in_error=`; anybody may have written it. */
export function returnSentence(code) {
  return Object.hasOwn(BY_RETURN, code) ? BY_RETURN[code] : "That sign-in did not work. Sign in again.";
}

/** @type {Record<string, string>} */
const BY_CODE = {
  wrong_credentials: "The e-mail address or the password is wrong. Check both and try again.",
  wrong_password: "This is not your password. Type it again.",
  sign_in_again: "Sign out and in again, then do this within ten minutes: you have no password to ask for.",
  admin_account: "You operate this service. Have another admin change your role first.",
  email_taken: "There is an account with this e-mail address already. Sign in instead.",
  registration_closed: "New accounts are made by the operator. Ask them for one.",
  too_many_api_keys: "You have as many keys as one may have. Revoke one that you do not need, then make this one.",
};

/** @param {unknown} error Of a call about accounts. */
export function accountSentence(error) {
  if (!(error instanceof ProblemError)) return sentence(error);
  if (error.status === 429) return tooOften(error.retryAfterS);
  return BY_CODE[error.code] ?? sentence(error);
}

/** @param {number|null} waitS */
function tooOften(waitS) {
  if (waitS === null) return "That was tried too often. Wait a little, then try again.";
  const wait = waitS <= 90 ? `${waitS} s` : `${Math.ceil(waitS / 60)} min`;
  return `That was tried too often. Try again in ${wait}.`;
}

/**
 * Which field a refusal is about, with what is wrong there.
 *
 * @param {unknown} error
 * @returns {{field: string, words: string}|null}
 */
export function fieldFault(error) {
  if (!(error instanceof ProblemError)) return null;
  if (error.code === "email_taken") return { field: "email", words: BY_CODE.email_taken };
  const first = error.body.errors?.[0];
  if (!first?.field || !first.message) return null;
  if (BY_CODE[error.code]) return { field: String(first.field), words: BY_CODE[error.code] };
  const said = String(first.message).replace(/[.\s]*$/, "");
  return { field: String(first.field), words: `${said.charAt(0).toUpperCase()}${said.slice(1)}.` };
}

/** Wherever it is noticed first. */
export const ENDED = "Your sign-in has ended.";

/**
 * A device, as far as its browser says what it is; the whole is in the tooltip.
 *
 * @param {string} client `User-Agent`
 * @returns {string}
 */
export function deviceName(client) {
  const browser = [
    ["Edg", "Edge"], ["OPR", "Opera"], ["Firefox", "Firefox"], ["Chrome", "Chrome"], ["Safari", "Safari"],
  ].find(([mark]) => client.includes(mark));
  const system = [
    ["Android", "Android"], ["iPhone", "iPhone"], ["iPad", "iPad"], ["Windows", "Windows"], ["Mac OS", "Mac"], ["Linux", "Linux"],
  ].find(([mark]) => client.includes(mark));
  if (browser && system) return `${browser[1]} on ${system[1]}`;
  return client.split("/")[0].slice(0, 40) || "Unknown device";
}

/** @param {string|null|undefined} at ISO 8601. */
export function when(at) {
  if (!at) return "";
  return new Date(at).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
}
