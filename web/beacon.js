/**
 * What this page saw of a turn that it started: told to the server once, so that the two can be
 * compared. Nothing waits for it, and nothing suffers where it is lost.
 *
 * @module beacon
 */

import { isFinal, isWriting } from "./turn.js";

/** Further ones still count for the longest. */
const MAX_GAPS = 10_000;

/** @typedef {import("./turn.js").TurnState} TurnState */

/**
 * @typedef {object} Seen  The body of `POST /api/v1/beacons`.
 * @property {string} turn_id
 * @property {number} [ttft_ms]
 * @property {{p50?: number, p95?: number, max?: number}} gaps_ms
 * @property {number} reconnects
 */

/** Watches one turn from the moment its message is sent, and tells when it has ended or is left. */
export class Beacon {
  #sentAt;
  /** @type {number|null} */
  #ttftMs = null;
  /** @type {number|null} */
  #textAt = null;
  /** @type {number[]} */
  #gapsMs = [];
  #longestMs = 0;
  #reconnects = 0;
  #isLinked = true;
  #turnId = "";
  #isTold = false;
  #leaving = new AbortController();

  /** @param {{now?: () => number, tell?: (seen: Seen) => void}} [parts] */
  constructor({ now = () => performance.now(), tell = post } = {}) {
    this.now = now;
    this.tell = tell;
    this.#sentAt = now();
    window.addEventListener("pagehide", () => this.leave(), { signal: this.#leaving.signal });
  }

  /** @param {TurnState} before @param {TurnState} turn */
  follow(before, turn) {
    this.#turnId = turn.turnId;
    // A terminal event repeats the text: only what grew while it was written was waited for.
    // An answer that comes whole has no first token to be compared.
    if (turn.text.length > before.text.length && isWriting(before) && turn.isStreaming) this.#sawText();
    if (isFinal(turn)) this.leave();
  }

  /** @param {import("./reader.js").Link} link */
  link(link) {
    const isLinked = link !== "reconnecting" && link !== "offline";
    if (this.#isLinked && !isLinked) this.#reconnects += 1;
    if (link !== "connecting") this.#isLinked = isLinked;
  }

  /** Nothing more is seen from here: tell what was. */
  leave() {
    this.#leaving.abort();
    if (this.#isTold || !this.#turnId) return;
    this.#isTold = true;
    this.tell({
      turn_id: this.#turnId,
      ...(this.#ttftMs === null ? {} : { ttft_ms: this.#ttftMs }),
      gaps_ms: this.#gaps(),
      reconnects: Math.min(this.#reconnects, 1000),
    });
  }

  #sawText() {
    const at = this.now();
    if (this.#textAt === null) this.#ttftMs = rounded(at - this.#sentAt);
    else this.#sawGap(at - this.#textAt);
    this.#textAt = at;
  }

  /** @param {number} gapMs */
  #sawGap(gapMs) {
    this.#longestMs = Math.max(this.#longestMs, gapMs);
    if (this.#gapsMs.length < MAX_GAPS) this.#gapsMs.push(gapMs);
  }

  #gaps() {
    if (!this.#gapsMs.length) return {};
    const sorted = this.#gapsMs.toSorted((one, other) => one - other);
    const at = (/** @type {number} */ share) => rounded(sorted[Math.ceil(share * sorted.length) - 1]);
    return { p50: at(0.5), p95: at(0.95), max: rounded(this.#longestMs) };
  }
}

/** The server takes an hour at most; a tab may have slept for longer. @param {number} ms */
function rounded(ms) {
  return Math.min(3_600_000, Math.max(0, Math.round(ms * 10) / 10));
}

/** Sent even where the page is being closed. @param {Seen} seen */
function post(seen) {
  const body = new Blob([JSON.stringify(seen)], { type: "application/json" });
  navigator.sendBeacon("/api/v1/beacons", body);
}
