/**
 * Figures as people read them, and refusals as sentences. Pure.
 *
 * @module admin/words
 */

import { NetworkError, ProblemError } from "../problems.js";

/** What is shown for a figure that is not known. */
export const NOTHING = "–";

const COUNT = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** @typedef {number|null|undefined} Figure */

/** @param {Figure} value */
export function count(value) {
  return isKnown(value) ? COUNT.format(value) : NOTHING;
}

/** @param {Figure} share 0 to 1. */
export function percent(share) {
  return isKnown(share) ? `${trimmed(share * 100, share < 0.1 ? 2 : 1)} %` : NOTHING;
}

/** @param {Figure} percentage 0 to 100, as flags have it. */
export function stage(percentage) {
  return isKnown(percentage) ? `${trimmed(percentage, 3)} %` : NOTHING;
}

/** @param {Figure} value Milliseconds. */
export function milliseconds(value) {
  if (!isKnown(value)) return NOTHING;
  if (value >= 1000) return `${trimmed(value / 1000, 2)} s`;
  return `${trimmed(value, value < 10 ? 1 : 0)} ms`;
}

/** @param {Figure} value @param {number} [digits] */
export function decimal(value, digits = 1) {
  return isKnown(value) ? value.toFixed(digits) : NOTHING;
}

/** @param {Figure} seconds @returns {string} At most two units, such as `3 h 12 min`. */
export function duration(seconds) {
  if (!isKnown(seconds)) return NOTHING;
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return pair(whole, 60, "min", 1, "s");
  if (whole < 86_400) return pair(whole, 3600, "h", 60, "min");
  return pair(whole, 86_400, "d", 3600, "h");
}

/** @param {string|null|undefined} instant RFC 3339. @returns {string} In the reader's time zone. */
export function moment(instant) {
  if (!instant) return NOTHING;
  const at = new Date(instant);
  const isToday = at.toDateString() === new Date().toDateString();
  const time = at.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  return isToday ? time : `${at.toLocaleDateString("en-GB", { day: "numeric", month: "short" })}, ${time}`;
}

/** @param {unknown} error @returns {string} What happened, and what to do. */
export function sentence(error) {
  if (error instanceof NetworkError) return "The server cannot be reached. Check the connection and try again.";
  if (!(error instanceof ProblemError)) return "The page made a mistake. Reload it and try again.";
  switch (error.status) {
    case 401:
      return error.code.startsWith("wrong_") ? error.message : "Your sign-in has ended. Sign in again.";
    case 409:
      return `That cannot be done as things stand. ${error.message}`;
    case 412:
      return "It was changed after you opened this. The page shows how it stands now: look again, then decide.";
    case 422:
      return faults(error);
    case 429:
      return `Too many tries. Try again in ${duration(error.retryAfterS ?? 60)}.`;
    case 503:
      return `It cannot be done right now. ${error.message}`;
    default:
      return error.message || "That did not work. Try again.";
  }
}

/** @param {ProblemError} error */
function faults(error) {
  const named = (error.body.errors ?? []).map(
    (/** @type {{field: string, message: string}} */ fault) => `${fault.field || "The request"} ${fault.message}`,
  );
  return named.length ? `The server did not accept it: ${named.join("; ")}.` : error.message;
}

/** @param {Figure} value @returns {value is number} */
export function isKnown(value) {
  return typeof value === "number" && Number.isFinite(value);
}

/** @param {number} value @param {number} digits */
function trimmed(value, digits) {
  return String(Number(value.toFixed(digits)));
}

/** @param {number} whole @param {number} large @param {string} name @param {number} small @param {string} rest */
function pair(whole, large, name, small, rest) {
  const left = Math.floor((whole % large) / small);
  return `${Math.floor(whole / large)} ${name}${left ? ` ${left} ${rest}` : ""}`;
}
