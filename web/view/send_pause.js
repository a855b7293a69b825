/**
 * A limit is reached: nothing can be sent until it lets go, and how long that takes is shown.
 *
 * @module view/send_pause
 */

import { find, h } from "./dom.js";

/** Where the server did not say how long. */
const DEFAULT_WAIT_S = 10;
/** Timers count no further than 24 days, and no limit lasts longer than a day. */
const LONGEST_WAIT_S = 86_400;
/** Longer waits are told by the clock. */
const COUNTED_S = 120;

/** Why; what to do is to wait, and how long is said behind it. @type {Record<string, string>} */
const WHY = {
  too_many_turns: "Several of your answers are still being written.",
  token_budget_spent: "You have used up your share of text for today.",
};
const WHY_ELSE = "You have sent a lot in a short time.";

/** Holds the composer back, and lets it go by itself. */
export class SendPause {
  #until = 0;
  #timer = 0;
  #left = h("span", { class: "send-pause-left", "aria-hidden": "true" });
  #place = find("#send-pause", HTMLElement);

  /** @param {import("./composer.js").Composer} composer @param {(text: string) => void} announce */
  constructor(composer, announce) {
    this.composer = composer;
    this.announce = announce;
  }

  /** @param {import("../problems.js").ProblemError} refusal 429 */
  begin(refusal) {
    const waitS = Math.min(refusal.retryAfterS ?? DEFAULT_WAIT_S, LONGEST_WAIT_S);
    const why = WHY[refusal.code] ?? WHY_ELSE;
    this.#until = Date.now() + waitS * 1000;
    this.#place.replaceChildren(h("span", {}, why, " ", this.#left));
    this.#place.hidden = false;
    this.composer.setHeld(true);
    // The seconds are for the eyes: read out one by one they would drown everything else.
    this.announce(`${why} ${whenAgain(waitS, this.#until)}`);
    clearInterval(this.#timer);
    this.#timer = setInterval(() => this.#tick(), 500);
    this.#tick();
  }

  /** Let go: the wait is over, or somebody else is signed in. */
  end() {
    clearInterval(this.#timer);
    if (this.#place.hidden) return;
    this.#place.hidden = true;
    this.composer.setHeld(false);
  }

  #tick() {
    const leftS = Math.ceil((this.#until - Date.now()) / 1000);
    if (leftS > 0) {
      this.#left.textContent = whenAgain(leftS, this.#until);
    } else {
      this.end();
      this.announce("You can send again.");
    }
  }
}

/** @param {number} leftS @param {number} until */
function whenAgain(leftS, until) {
  if (leftS <= COUNTED_S) return `You can send again in ${leftS} s.`;
  const end = new Date(until);
  const time = end.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  const isToday = end.toDateString() === new Date().toDateString();
  return `You can send again at ${time}${isToday ? "" : " tomorrow"}.`;
}
