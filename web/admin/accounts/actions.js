/**
 * What operators can do about a user.
 *
 * @module admin/accounts/actions
 */

import * as calls from "../calls.js";

/** @typedef {import("../calls.js").User} User */
/** @typedef {import("../rollout/dialog.js").Field} Field */

/**
 * @typedef {object} Action
 * @property {(user: User) => string} title
 * @property {(user: User) => string} about
 * @property {string} action  The word on the button.
 * @property {"main"|"danger"} [tone]
 * @property {() => Field[]} [fields]
 * @property {(user: User, values: Record<string, any>, options: {version: number}) => Promise<unknown>} send
 */

/** @type {Action} */
export const CREATE = {
  action: "New user",
  tone: "main",
  title: () => "Make a new user?",
  about: () => "They sign in with the provider, by this address; or with a password, once they have one.",
  fields: () => [
    { name: "email", label: "Address", kind: "text", value: "" },
    { name: "name", label: "Name, if you like", kind: "text", value: "" },
    { name: "role", label: "Role", kind: "choice", value: "user", choices: [["user", "User"], ["admin", "Admin"]] },
  ],
  send: (_, values) => calls.createUser(/** @type {any} */ (values)),
};

/** @param {string} action @param {(user: User) => string} title @param {string} about @param {Record<string, unknown>} change @param {"main"|"danger"} [tone] @returns {Action} */
const changing = (action, title, about, change, tone) => ({
  action, title, tone, about: () => about,
  send: (user, { reason }, { version }) => calls.changeUser(user.user_id, { ...change, reason }, version),
});

const PROMOTE = changing("Make an admin", ({ email }) => `Make ${email} an admin?`,
  "Admins operate this server. They are signed out, and are an admin from their next sign-in on.", { role: "admin" });
const DEMOTE = changing("Make a user", ({ email }) => `Make ${email} a user again?`,
  "They operate this server no more, from now on, and are signed out.", { role: "user" }, "danger");
const DISABLE = changing("Disable", ({ email }) => `Disable ${email}?`,
  "They are signed out everywhere, and cannot sign in. Their API keys are worth nothing. Nothing is deleted.", { is_disabled: true }, "danger");
const ENABLE = changing("Let in again", ({ email }) => `Let ${email} in again?`, "They can sign in again; their API keys are good again, too.", { is_disabled: false });

/** @type {Action} */
const SIGN_OUT = {
  action: "Sign out everywhere",
  tone: "danger",
  title: ({ email }) => `Sign ${email} out everywhere?`,
  about: () => "Every sign-in ends. They can sign in again.",
  send: (user, { reason }) => calls.endSessions(user.user_id, reason),
};

/** @param {User} user @returns {Action[]} */
export function actionsOf(user) {
  if (user.is_disabled) return [ENABLE];
  return [user.role === "admin" ? DEMOTE : PROMOTE, SIGN_OUT, DISABLE];
}
