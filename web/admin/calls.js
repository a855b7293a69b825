/**
 * Calls of the operators' page: the addresses that scripts use too, with the cookie as proof.
 *
 * @module admin/calls
 */

import { NetworkError, ProblemError } from "../problems.js";

const TIMEOUT_MS = 15_000;
const FLAG = "/api/v1/flags/streaming";

/** @typedef {{body?: unknown, version?: number, key?: string}} Options */

/**
 * @param {string} method
 * @param {string} path
 * @param {Options} [options] `version`: the one that was seen; another one is refused with 412.
 *   `key` makes a repetition harmless.
 * @returns {Promise<any>}
 * @throws {NetworkError|ProblemError}
 */
async function call(method, path, { body, version, key } = {}) {
  const headers = {
    Accept: "application/json",
    ...(body === undefined ? {} : { "Content-Type": "application/json" }),
    ...(version === undefined ? {} : { "If-Match": `"${version}"` }),
    ...(key === undefined ? {} : { "Idempotency-Key": key }),
  };
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const sent = body === undefined ? undefined : JSON.stringify(body);
  const answer = await fetch(path, { method, headers, body: sent, signal, cache: "no-store" }).catch((error) => {
    throw new NetworkError(String(error));
  });
  const told = answer.status === 204 ? null : await answer.json().catch(() => ({}));
  if (answer.ok) return told;
  const seconds = Number.parseInt(answer.headers.get("Retry-After") ?? "", 10);
  throw new ProblemError(answer.status, told ?? {}, Number.isFinite(seconds) ? seconds : null);
}

/** @returns {Promise<{signed_in: boolean, ends_at: string|null}>} */
export const session = () => call("GET", "/admin/session");

/** @param {string} token */
export const signIn = (token) => call("POST", "/admin/session", { body: { token } });

export const signOut = () => call("DELETE", "/admin/session");

/** @param {string} range @returns {Promise<import("./charts/history.js").History>} */
export const history = (range) => call("GET", `/api/metrics/history?range=${encodeURIComponent(range)}`);

/**
 * @typedef {object} Change
 * @property {number} version
 * @property {string} at
 * @property {string} action
 * @property {string} who
 * @property {string} why
 * @property {Record<string, any>|null} before
 * @property {Record<string, any>|null} after
 * @property {Record<string, any>} [evidence]
 */

/** @param {number} limit @returns {Promise<{history: Change[]}>} */
export const flagChanges = (limit) => call("GET", `${FLAG}/history?limit=${limit}`);

/** @param {number} limit @returns {Promise<{history: Change[]}>} */
export const rolloutChanges = (limit) => call("GET", `${FLAG}/rollout/history?limit=${limit}`);

/** @param {"start"|"pause"|"resume"|"approve"} action @param {Options} options */
export const lead = (action, options) => call("POST", `${FLAG}/rollout/${action}`, options);

/** @param {Options} options */
export const kill = (options) => call("POST", `${FLAG}/kill`, options);

/** @param {string} reason @param {Options} options */
export const endKill = (reason, options) =>
  call("DELETE", `${FLAG}/kill?reason=${encodeURIComponent(reason)}`, options);
