/**
 * Follows the server's live figures: reconnects after cuts, silence and sleep, until closed.
 *
 * @module admin/live
 */

/** A state is due each second, a heartbeat every five where making one takes long. */
const STALE_AFTER_MS = 12_000;
const WATCH_EVERY_MS = 2_000;
const RETRY_MS = 2_000;

/** @typedef {Record<string, any>} State What `GET /admin/events` tells; a part may be null. */

/**
 * @typedef {object} LiveParts
 * @property {(state: State) => void} onState
 * @property {(link: "connecting"|"live"|"reconnecting") => void} onLink
 * @property {() => Promise<boolean>} check  Asked when the stream was refused; true: go on.
 */

export class Live {
  /** @type {EventSource|null} */
  #source = null;
  #heardAt = 0;
  #isClosed = false;
  #watchTimer = 0;
  #retryTimer = 0;

  /** @param {LiveParts} parts */
  constructor(parts) {
    this.parts = parts;
    parts.onLink("connecting");
    this.#watchTimer = setInterval(() => this.#watch(), WATCH_EVERY_MS);
    this.#attach();
  }

  close() {
    this.#isClosed = true;
    this.#source?.close();
    clearInterval(this.#watchTimer);
    clearTimeout(this.#retryTimer);
  }

  #attach() {
    if (this.#isClosed) return;
    clearTimeout(this.#retryTimer);
    this.#source?.close();
    this.#heardAt = Date.now();
    const source = new EventSource("/admin/events");
    this.#source = source;
    source.addEventListener("state", (message) => {
      this.#heard();
      this.parts.onState(JSON.parse(message.data));
    });
    source.addEventListener("heartbeat", () => this.#heard());
    source.addEventListener("session.ended", () => this.#checkThenAttach());
    source.onerror = () => {
      this.parts.onLink("reconnecting");
      if (source.readyState === EventSource.CLOSED) this.#checkThenAttach();
    };
  }

  #heard() {
    this.#heardAt = Date.now();
    this.parts.onLink("live");
  }

  #watch() {
    if (Date.now() - this.#heardAt < STALE_AFTER_MS) return;
    this.parts.onLink("reconnecting");
    this.#attach();
  }

  async #checkThenAttach() {
    this.#source?.close();
    this.#heardAt = Date.now();
    const goesOn = await this.parts.check();
    if (!goesOn || this.#isClosed) return;
    clearTimeout(this.#retryTimer);
    this.#retryTimer = setTimeout(() => this.#attach(), RETRY_MS * (0.5 + Math.random()));
  }
}
