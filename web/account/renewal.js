/**
 * Keeps a sign-in good: access tokens live for minutes, and are renewed before anybody notices.
 *
 * The tokens are in cookies that no script can read. What is kept here is when the present one ends,
 * in a place that all tabs see, so that one of them renews for all.
 *
 * @module account/renewal
 */

import { json, problem, send } from "../http.js";
import { NetworkError, ProblemError } from "../problems.js";

const KEY = "chatstream.sign-in";
const LOCK = "chatstream.renewal";
/** Of a token's life, this much is used before the next is fetched; the rest is for retries. */
const USED_SHARE = 0.75;
/** Sooner than this nothing is renewed, however short a token's life. */
const SHORTEST_WAIT_MS = 1_000;
const RETRY_MS = 15_000;
/** What another tab wrote is seen here a moment later: browsers keep a copy for each of their processes. */
const SEEN_AFTER_MS = 50;

/** @typedef {{renewedAt: number, dueAt: number}} Kept Milliseconds since 1970. */

/** @type {Kept|null} Where storage is forbidden, this tab alone knows. */
let kept = null;
/** @type {Promise<boolean>|null} */
let renewing = null;
/** Nobody is signed in, as the server said: asking again would be counted as a guess. */
let isNobody = false;
let timer = 0;

/**
 * After a refusal: get a new access token, once for all calls and all tabs.
 *
 * @param {number} sentAt When what was refused was sent; a token that is newer has only to be used.
 * @returns {Promise<boolean>} Whether there is a new one; no: one has to sign in.
 * @throws {NetworkError|ProblemError} It is not known: the server cannot be reached, or cannot say.
 */
export function renew(sentAt) {
  renewing ??= alone(() => renewUnlessNewer(sentAt)).finally(() => { renewing = null; });
  return renewing;
}

/**
 * Told after each sign-in and renewal.
 *
 * @param {number} expiresInS
 */
export function renewed(expiresInS) {
  isNobody = false;
  const now = Date.now();
  write({ renewedAt: now, dueAt: now + Math.max(SHORTEST_WAIT_MS, expiresInS * 1000 * USED_SHARE) });
  plan();
}

/** Nobody is signed in any more: nothing to renew. */
export function stopRenewing() {
  write(null);
  clearTimeout(timer);
}

/** Somebody may have signed in elsewhere: in another tab, or with their provider. */
export function mayBeSomebody() {
  isNobody = false;
}

/** Renew before the end; also when the tab, or the machine, wakes. */
export function startRenewing() {
  document.addEventListener("visibilitychange", () => { if (!document.hidden) renewIfDue(); });
  window.addEventListener("online", renewIfDue);
  window.addEventListener("pageshow", (event) => { if (event.persisted) renewIfDue(); });
  window.addEventListener("storage", (event) => {
    if (event.key !== KEY) return;
    if (event.newValue) isNobody = false;
    plan();
  });
  plan();
}

/** @param {number} [waitMs] */
function plan(waitMs) {
  clearTimeout(timer);
  const known = read();
  if (known) timer = setTimeout(renewIfDue, waitMs ?? Math.max(SHORTEST_WAIT_MS, known.dueAt - Date.now()));
}

/** A tab that nobody looks at lets its token end: it is renewed on return, or when a call needs it. */
async function renewIfDue() {
  const known = read();
  if (!known || document.hidden) return;
  if (Date.now() < known.dueAt) return plan();
  try {
    await renew(Date.now());
  } catch (error) {
    if (!(error instanceof NetworkError) && !(error instanceof ProblemError)) throw error;
    const waitS = error instanceof ProblemError ? error.retryAfterS : null;
    plan(Math.max(RETRY_MS, (waitS ?? 0) * 1000));
  }
}

/**
 * @param {number} sentAt
 * @returns {Promise<boolean>}
 */
async function renewUnlessNewer(sentAt) {
  if (isNewer(sentAt)) return true;
  if (isNobody) return false;
  if (read()) await new Promise((seen) => { setTimeout(seen, SEEN_AFTER_MS); });
  if (isNewer(sentAt)) return true;
  const answer = await send("POST", "/api/v1/auth/refresh");
  if (answer.ok) {
    renewed((await json(answer)).expires_in);
    return true;
  }
  if (answer.status !== 401) throw await problem(answer);
  isNobody = true;
  stopRenewing();
  return false;
}

/** @param {number} sentAt */
function isNewer(sentAt) {
  return (read()?.renewedAt ?? 0) >= sentAt;
}

/**
 * Web Locks exist over https and on this machine. Without them tabs may renew at once, which the
 * server takes for a while as one.
 *
 * @param {() => Promise<boolean>} action
 * @returns {Promise<boolean>}
 */
function alone(action) {
  return navigator.locks ? navigator.locks.request(LOCK, action) : action();
}

/** @returns {Kept|null} */
function read() {
  try {
    const stored = localStorage.getItem(KEY);
    return stored ? JSON.parse(stored) : null;
  } catch {
    return kept;
  }
}

/** @param {Kept|null} value */
function write(value) {
  kept = value;
  try {
    if (value) localStorage.setItem(KEY, JSON.stringify(value));
    else localStorage.removeItem(KEY);
  } catch {
    // Storage is forbidden: `kept` has to do.
  }
}
