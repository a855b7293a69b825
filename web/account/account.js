/**
 * Who is signed in, as far as the page knows: the only place that says so.
 *
 * @module account/account
 */

import { onSignedOut } from "../api.js";
import { ProblemError } from "../problems.js";
import { tell } from "../tabs.js";
import * as calls from "./calls.js";
import { mayBeSomebody, startRenewing } from "./renewal.js";

/**
 * @typedef {"unknown"|"guest"|"user"|"nobody"|"ended"} Status
 *   `unknown`: the server has not said; `nobody`: one has to sign in first; `ended`: one has to
 *   sign in again, and until then what is on the screen stays.
 */

/**
 * @typedef {object} State
 * @property {Status} status
 * @property {import("./calls.js").User|null} user  In `ended` whose screen it is.
 * @property {import("./calls.js").Offers} offers
 */

/** @type {import("./calls.js").Offers} */
const NO_OFFERS = { guests: false, registration: false, oidc: null };
const AWAY = "chatstream.away";

/** The account that this page is used with. */
export class Account {
  /** @type {State} */
  state = { status: "unknown", user: null, offers: NO_OFFERS };
  /** @type {Promise<void>|null} */
  #losing = null;

  /** @param {(now: State, before: State) => void} changed Also told where it is only said again. */
  constructor(changed) {
    this.changed = changed;
    onSignedOut(() => this.#lost());
    startRenewing();
  }

  /** Whether calls may be made: by a user, a guest, or somebody of whom nothing is known yet. */
  get isLetIn() {
    return this.state.status !== "nobody" && this.state.status !== "ended";
  }

  /**
   * Ask the server, as at the start and when another tab says that something has changed.
   *
   * @throws {import("../problems.js").NetworkError|ProblemError} It does not say.
   */
  async load() {
    mayBeSomebody();
    try {
      const user = await calls.me();
      this.#set({ ...this.state, status: user.role === "guest" ? "guest" : "user", user });
      if (returned()) tell({ type: "account.changed" });
      this.#set({ ...this.state, offers: await calls.offers() });
    } catch (error) {
      if (!(error instanceof ProblemError && error.status === 401)) throw error;
      await this.#lost();
    }
  }

  /** @param {string} email @param {string} password */
  async signIn(email, password) {
    this.#signedIn(await calls.signIn(email, password));
  }

  /**
   * As a guest one stays who one is, with all conversations.
   *
   * @param {string} email @param {string} password @param {string} name May be empty.
   */
  async register(email, password, name) {
    this.#signedIn(await calls.register(email, password, name));
  }

  /** @param {boolean} [everywhere] On all devices. */
  async signOut(everywhere = false) {
    await calls.signOut(everywhere);
    tell({ type: "account.left" });
    await this.left();
  }

  /** @param {string|null} password null: the account has none. */
  async deleteForGood(password) {
    await calls.deleteAccount(password);
    tell({ type: "account.left" });
    await this.left();
  }

  /** Signed out, here or in another tab: what is on the screen is nobody's any more. */
  async left() {
    this.#set({ ...this.state, status: "unknown", user: null });
    await this.load();
  }

  /** Say again what is missing, to whom wants to go on without. */
  remind() {
    this.#set({ ...this.state });
  }

  /** A call was refused because nobody is signed in, or nobody any more. */
  #lost() {
    this.#losing ??= this.#learnLoss().finally(() => { this.#losing = null; });
    return this.#losing;
  }

  async #learnLoss() {
    const offers = await calls.offers().catch(() => this.state.offers);
    // Who may go on as a guest is asked first: they would lose sight of what is theirs.
    const isStranger = this.state.status === "unknown" || this.state.status === "nobody";
    if (!isStranger || offers.guests) this.#set({ ...this.state, status: "ended", offers });
    else this.#set({ status: "nobody", user: null, offers });
  }

  /** @param {import("./calls.js").User} user */
  #signedIn(user) {
    this.#set({ ...this.state, status: "user", user });
    tell({ type: "account.changed" });
  }

  /** @param {State} state */
  #set(state) {
    const before = this.state;
    this.state = state;
    this.changed(state, before);
  }
}

/** Remember that the page was left for the provider: whoever comes back may be somebody else. */
export function leaveForProvider() {
  try {
    sessionStorage.setItem(AWAY, "1");
  } catch {
    // Storage is forbidden: other tabs find out when they next ask.
  }
}

function returned() {
  try {
    const was = sessionStorage.getItem(AWAY);
    sessionStorage.removeItem(AWAY);
    return was !== null;
  } catch {
    return false;
  }
}
