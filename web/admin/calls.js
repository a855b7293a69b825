/**
 * Calls of the operators' page: the addresses that scripts use too, with a cookie as proof.
 *
 * @module admin/calls
 */

import { renew, renewed, stopRenewing } from "../account/renewal.js";
import { json, problem, send } from "../http.js";

const FLAG = "/api/v1/flags/streaming";
const USERS = "/api/v1/users";

/** @typedef {{body?: unknown, version?: number, key?: string}} Options */

/**
 * @param {string} method
 * @param {string} path
 * @param {Options} [options] `version`: the one that was seen; another one is refused with 412.
 *   `key` makes a repetition harmless.
 * @returns {Promise<any>}
 * @throws {import("../problems.js").NetworkError|import("../problems.js").ProblemError}
 */
async function call(method, path, { body, version, key } = {}) {
  const headers = {
    ...(version === undefined ? {} : { "If-Match": `"${version}"` }),
    ...(key === undefined ? {} : { "Idempotency-Key": key }),
  };
  const sentAt = Date.now();
  let answer = await send(method, path, { body, headers });
  // An access token lives for minutes; of whom came with the operators' token nothing is renewed.
  if (answer.status === 401 && isAccount && await renew(sentAt)) answer = await send(method, path, { body, headers });
  if (!answer.ok) throw await problem(answer);
  return json(answer);
}

let isAccount = false;

/** @typedef {{user_id: string, email: string, name: string, role: string}} Account */
/** @typedef {{signed_in: boolean, ends_at: string|null, user: Account|null, is_expired: boolean}} Session */

/** @returns {Promise<Session>} */
export async function session() {
  const sentAt = Date.now();
  let told = await call("GET", "/admin/session");
  if (told.is_expired && await renew(sentAt)) told = await call("GET", "/admin/session");
  isAccount = told.user !== null;
  return told;
}

/** @returns {Promise<{oidc: {name: string, url: string}|null}>} */
export const ways = () => call("GET", "/api/v1/auth/options");

/** @param {string} email @param {string} password */
export async function signInAs(email, password) {
  const answer = await send("POST", "/api/v1/auth/login", { body: { email, password } });
  if (!answer.ok) throw await problem(answer);
  renewed((await json(answer)).expires_in);
}

/** Of the account, where one is signed in to one, and of the operators' token. */
export async function signOut() {
  if (isAccount) await call("POST", "/api/v1/auth/logout", { body: {} });
  isAccount = false;
  stopRenewing();
  await call("DELETE", "/admin/session");
}

/** @param {string} token */
export const signIn = (token) => call("POST", "/admin/session", { body: { token } });

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

/** @typedef {{user_id: string, email: string, name: string, role: "user"|"admin", is_disabled: boolean, has_password: boolean, identities: {issuer: string}[], created_at: string, version: number}} User */
/** @typedef {{session_id: string, created_at: string, refreshed_at: string, client: string, address: string}} Device */
/** @typedef {{entry_id: string, at: string, who: string, action: string, subject: string, why: string, address: string, details: Record<string, any>}} Entry */

/** @param {string} search @param {string|null} cursor @returns {Promise<{users: User[], next: string|null}>} */
export const users = (search, cursor) => call("GET", `${USERS}?limit=20&search=${encodeURIComponent(search)}${following(cursor)}`);

/** @param {{email: string, name: string, role: string, reason: string}} user @returns {Promise<User>} */
export const createUser = (user) => call("POST", USERS, { body: user });

/** @param {string} userId @param {Record<string, unknown>} change @param {number} version @returns {Promise<User>} */
export const changeUser = (userId, change, version) => call("PATCH", `${USERS}/${encodeURIComponent(userId)}`, { body: change, version });

/** @param {string} userId @returns {Promise<{sessions: Device[]}>} */
export const sessionsOf = (userId) => call("GET", `${USERS}/${encodeURIComponent(userId)}/sessions`);

/** @param {string} userId @param {string} reason @returns {Promise<{ended: number}>} */
export const endSessions = (userId, reason) =>
  call("DELETE", `${USERS}/${encodeURIComponent(userId)}/sessions?reason=${encodeURIComponent(reason)}`);

/** @param {string} subject Empty: about everybody. @param {string|null} cursor @returns {Promise<{entries: Entry[], next: string|null}>} */
export const entries = (subject, cursor) =>
  call("GET", `/api/v1/audit?limit=20${subject && `&subject=${encodeURIComponent(subject)}`}${following(cursor)}`);

/** @param {string|null} cursor */
const following = (cursor) => (cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`);
