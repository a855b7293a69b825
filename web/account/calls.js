/**
 * Calls about accounts: who somebody is, and everything that changes it.
 *
 * @module account/calls
 */

import { call, get, part } from "../api.js";
import { json, problem, send } from "../http.js";
import { renewed, stopRenewing } from "./renewal.js";

/** @typedef {{user_id: string, role: "guest"|"user"|"admin", email?: string, name?: string, has_password?: boolean}} User */
/** @typedef {{guests: boolean, registration: boolean, oidc: {name: string, url: string}|null}} Offers */
/** @typedef {{session_id: string, created_at: string, refreshed_at: string, client: string, address: string, is_this: boolean}} Device */
/** @typedef {{key_id: string, name: string, scopes: string[], created_at: string, expires_at: string|null, last_used_at: string|null, revoked_at: string|null}} ApiKey */

/** @returns {Promise<Offers>} How one can come in here. */
export const offers = () => get("/api/v1/auth/options");

/** @returns {Promise<User>} */
export const me = async () => (await get("/api/v1/auth/me")).user;

/**
 * What is asked of somebody who may be nobody yet: a 401 is about what they typed.
 *
 * @param {string} path
 * @param {unknown} body
 * @returns {Promise<User>} Who is signed in now.
 */
async function prove(path, body) {
  const answer = await send("POST", path, { body });
  if (!answer.ok) throw await problem(answer);
  const { user, expires_in: expiresInS } = await json(answer);
  renewed(expiresInS);
  return user;
}

/** @param {string} email @param {string} password */
export const signIn = (email, password) => prove("/api/v1/auth/login", { email, password });

/** @param {string} email @param {string} password @param {string} name May be empty. */
export const register = (email, password, name) =>
  prove("/api/v1/auth/register", { email, password, ...(name && { name }) });

/** @param {boolean} everywhere On all devices. */
export async function signOut(everywhere) {
  await call("POST", "/api/v1/auth/logout", { body: everywhere ? { everywhere: true } : {} });
  stopRenewing();
}

/** @param {string} current @param {string} next */
export async function changePassword(current, next) {
  await call("POST", "/api/v1/auth/password", { body: { current_password: current, new_password: next } });
}

/** With all conversations; nothing of it comes back. @param {string|null} password null: there is none. */
export async function deleteAccount(password) {
  await call("DELETE", "/api/v1/auth/me", { body: password === null ? {} : { password } });
  stopRenewing();
}

/** @returns {Promise<Device[]>} */
export const devices = async () => (await get("/api/v1/auth/sessions")).sessions;

/** @param {string} sessionId */
export async function endDevice(sessionId) {
  await call("DELETE", `/api/v1/auth/sessions/${part(sessionId)}`);
}

/** @returns {Promise<ApiKey[]>} */
export const apiKeys = async () => (await get("/api/v1/api-keys")).api_keys;

/**
 * @param {string} name @param {string[]} scopes @param {number|null} days null: for ever.
 * @returns {Promise<{key: string}>} The key itself, this once.
 */
export async function createApiKey(name, scopes, days) {
  return json(await call("POST", "/api/v1/api-keys", { body: { name, scopes, ...(days && { expires_in_days: days }) } }));
}

/** @param {string} keyId */
export async function revokeApiKey(keyId) {
  await call("DELETE", `/api/v1/api-keys/${part(keyId)}`);
}
