/**
 * The charts over time: asks for the history of the chosen range, again and again while it is seen.
 *
 * @module admin/charts/charts
 */

import { ProblemError } from "../../problems.js";
import { h } from "../../view/dom.js";
import * as calls from "../calls.js";
import { sentence } from "../words.js";
import { Chart } from "./chart.js";
import { CHARTS } from "./history.js";

const RANGES = { "1h": "1 hour", "6h": "6 hours", "24h": "24 hours", "7d": "7 days", "30d": "30 days" };
const SHORTEST_WAIT_MS = 15_000;
const LONGEST_WAIT_MS = 300_000;
const KEY = "chatstream.desk.range";

/** @typedef {keyof typeof RANGES} Range */

export class Charts {
  /** @type {Range} */
  #range = remembered();
  #timer = 0;
  /** Only the answer to the newest question is shown. */
  #asked = 0;
  #isStopped = true;

  /** @param {{place: HTMLElement, ranges: HTMLElement, fault: HTMLElement}} parts */
  constructor(parts) {
    this.parts = parts;
    this.charts = CHARTS.map((spec) => new Chart(spec));
    parts.place.replaceChildren(...this.charts.map((chart) => chart.element));
    this.buttons = Object.entries(RANGES).map(([range, words]) => h("button", {
      type: "button", "data-range": range, title: words, "aria-label": words,
      on: { click: () => this.#choose(/** @type {Range} */ (range)) },
    }, range));
    parts.ranges.replaceChildren(...this.buttons);
    this.#mark();
    this.#followColours();
    document.addEventListener("visibilitychange", () => { if (!document.hidden && !this.#isStopped) this.#load(); });
  }

  start() {
    this.#isStopped = false;
    this.#load();
  }

  stop() {
    this.#isStopped = true;
    this.#asked += 1;
    clearTimeout(this.#timer);
  }

  /** @param {Range} range */
  #choose(range) {
    this.#range = range;
    try {
      localStorage.setItem(KEY, range);
    } catch {
      // Storage is forbidden: the choice lasts as long as the page.
    }
    this.#mark();
    this.#load();
  }

  #mark() {
    for (const button of this.buttons) button.setAttribute("aria-pressed", String(button.dataset.range === this.#range));
  }

  async #load() {
    clearTimeout(this.#timer);
    this.#asked += 1;
    const asked = this.#asked;
    let waitMs = SHORTEST_WAIT_MS;
    try {
      const history = await calls.history(this.#range);
      if (asked !== this.#asked) return;
      for (const chart of this.charts) chart.show(history);
      this.#say("");
      waitMs = Math.min(LONGEST_WAIT_MS, Math.max(waitMs, (history.step_s * 1000) / 2));
    } catch (error) {
      if (asked !== this.#asked) return;
      const isMissing = error instanceof ProblemError && error.status === 404;
      this.#say(isMissing ? "This server keeps no history yet." : `The charts are not up to date. ${sentence(error)}`);
    }
    this.#timer = setTimeout(() => { if (!document.hidden) this.#load(); }, waitMs);
  }

  /** @param {string} fault */
  #say(fault) {
    this.parts.fault.hidden = !fault;
    this.parts.fault.textContent = fault;
  }

  #followColours() {
    const redraw = () => { for (const chart of this.charts) chart.draw(); };
    new MutationObserver(redraw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  }
}

/** @returns {Range} */
function remembered() {
  try {
    const range = localStorage.getItem(KEY) ?? "";
    return range in RANGES ? /** @type {Range} */ (range) : "1h";
  } catch {
    return "1h";
  }
}
