/**
 * Tells screen readers of finished blocks, never of single words, and never faster than they speak.
 *
 * @module view/announcer
 */

import { h } from "./dom.js";

const GATHER_MS = 700;
/** Read lines are removed: a live region is not a transcript. */
const KEPT_LINES = 12;

/** A polite live region. */
export class Announcer {
  /** @type {string[]} */
  #waiting = [];
  #timer = 0;

  /** @param {HTMLElement} region */
  constructor(region) {
    this.region = region;
  }

  /** @param {string} text */
  say = (text) => {
    if (!text.trim()) return;
    this.#waiting.push(text.trim());
    this.#timer ||= setTimeout(() => this.#flush(), GATHER_MS);
  };

  #flush() {
    this.#timer = 0;
    this.region.append(...this.#waiting.splice(0).map((line) => h("p", {}, line)));
    while (this.region.children.length > KEPT_LINES) this.region.firstElementChild?.remove();
  }
}
