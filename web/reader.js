/**
 * Reads one turn's events with the browser's own EventSource, and does not give up.
 *
 * The EventSource reconnects by itself after a cut or a `bye`. What it cannot know is seen to here:
 * a connection that is silent although heartbeats are due, a tab that slept, and an answer that an
 * EventSource takes as final. Applying events, and refusing repeats, is the reducer's part.
 *
 * @module reader
 */

import { ENTRY_NAMES, SIGNAL_NAMES } from "./turn.js";

/** The server's heartbeat comes after 10 s of silence; 2.5 of them missed is a dead connection. */
export const STALE_AFTER_MS = 25_000;
const WATCH_EVERY_MS = 2_500;
const FIRST_BACKOFF_MS = 500;
const LONGEST_BACKOFF_MS = 15_000;

/** Of `bye`: there is room for so many readers, and this one waits for its turn. */
const WAITING_FOR = new Set(["full", "too_many_readers", "too_many_attaches"]);

/** @typedef {"connecting"|"live"|"reconnecting"|"waiting"|"offline"} Link */

/**
 * @typedef {object} ReaderParts
 * @property {() => string} url        Of the events after what was read so far.
 * @property {(event: import("./turn.js").TurnEvent) => void} onEvent
 * @property {(link: Link) => void} onLink
 * @property {() => Promise<boolean>} check  Ask for the turn's state; true: read on.
 */

/** Follows one turn until closed. */
export class Reader {
  /** @type {EventSource|null} */
  #source = null;
  #heardAt = 0;
  #failures = 0;
  #isClosed = false;
  #isChecking = false;
  #isWaiting = false;
  #retryTimer = 0;
  #watchTimer = 0;
  #listening = new AbortController();

  /** @param {ReaderParts} parts */
  constructor(parts) {
    this.parts = parts;
    this.#watchTimer = setInterval(() => this.#watch(), WATCH_EVERY_MS);
    this.#listenToThePage();
    this.attach();
  }

  /** Open a connection from the cursor; a former one is closed first. */
  attach() {
    if (this.#isClosed) return;
    clearTimeout(this.#retryTimer);
    this.#source?.close();
    this.#heardAt = Date.now();
    const source = new EventSource(this.parts.url());
    this.#source = source;
    source.onopen = () => this.#heard(source);
    source.onerror = () => this.#failed(source);
    for (const name of [...ENTRY_NAMES, ...SIGNAL_NAMES]) {
      source.addEventListener(name, (message) => this.#received(source, message));
    }
  }

  close() {
    this.#isClosed = true;
    this.#source?.close();
    this.#listening.abort();
    clearTimeout(this.#retryTimer);
    clearInterval(this.#watchTimer);
  }

  /** @param {EventSource} source */
  #heard(source) {
    if (source !== this.#source || this.#isClosed) return false;
    this.#heardAt = Date.now();
    if (!this.#isWaiting) this.parts.onLink("live");
    return true;
  }

  /** @param {EventSource} source @param {MessageEvent} message */
  #received(source, message) {
    if (source !== this.#source || this.#isClosed) return;
    const data = JSON.parse(message.data);
    this.#isWaiting = message.type === "bye" && WAITING_FOR.has(data.reason);
    this.#heard(source);
    const isRefused = message.type === "session.ended" || (message.type === "bye" && data.reason === "token_expired");
    if (!isRefused) this.#failures = 0;
    const isSignal = SIGNAL_NAMES.includes(message.type);
    // A signal carries no id of its own: the browser repeats the last one.
    const id = isSignal ? undefined : message.lastEventId;
    this.parts.onEvent({ type: message.type, id, data });
    // To ask for the turn's state renews the token, or tells that there is no sign-in to read with.
    if (isRefused) this.#checkThenAttach();
  }

  /** @param {EventSource} source */
  #failed(source) {
    if (source !== this.#source || this.#isClosed) return;
    this.#reportTrouble();
    if (source.readyState === EventSource.CLOSED) this.#checkThenAttach();
  }

  #reportTrouble() {
    const link = this.#isWaiting ? "waiting" : "reconnecting";
    this.parts.onLink(navigator.onLine ? link : "offline");
  }

  /** For good: 204, or an answer that is neither 200 nor a cut. The turn's state decides. */
  async #checkThenAttach() {
    if (this.#isChecking) return;
    this.#isChecking = true;
    this.#source?.close();
    const goesOn = await this.parts.check().finally(() => { this.#isChecking = false; });
    if (goesOn && !this.#isClosed) this.#attachLater();
  }

  #attachLater() {
    const ceiling = Math.min(LONGEST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** this.#failures);
    this.#failures += 1;
    clearTimeout(this.#retryTimer);
    // Full jitter: readers that failed together must not come back together.
    this.#retryTimer = setTimeout(() => this.attach(), ceiling * (0.2 + 0.8 * Math.random()));
    this.#heardAt = Date.now();
  }

  #watch() {
    if (Date.now() - this.#heardAt < STALE_AFTER_MS) return;
    this.#heardAt = Date.now();
    this.#reportTrouble();
    this.#checkThenAttach();
  }

  /** A page that slept or was offline has a connection that only looks alive. */
  #listenToThePage() {
    const { signal } = this.#listening;
    let hiddenAt = 0;
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) hiddenAt = Date.now();
      else if (Date.now() - Math.max(this.#heardAt, hiddenAt) > STALE_AFTER_MS / 2) this.attach();
    }, { signal });
    window.addEventListener("pageshow", (event) => { if (event.persisted) this.attach(); }, { signal });
    window.addEventListener("online", () => this.attach(), { signal });
    window.addEventListener("offline", () => this.#reportTrouble(), { signal });
  }
}
