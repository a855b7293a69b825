/**
 * Who changed the flag or its rollout, when and why: people and the controller in one list.
 *
 * @module admin/rollout/log
 */

import * as calls from "../calls.js";
import { moment, sentence, stage } from "../words.js";
import { actionWords, byWhat, whoWords } from "./words.js";
import { h } from "../../view/dom.js";

const FIRST = 5;
const MORE = 50;

/** @typedef {import("../calls.js").Change} Change */

export class Log {
  #limit = FIRST;
  #shownFor = "";
  #asked = 0;
  #hasRollout = false;

  constructor() {
    this.list = h("ol", { class: "log" });
    this.fault = h("p", { class: "quiet", role: "status", hidden: true });
    this.more = h("button", { type: "button", class: "text-button", hidden: true, on: { click: () => this.#showMore() } }, "Show earlier changes");
    this.element = h("section", { class: "log-section", "aria-labelledby": "log-title" },
      h("h3", { id: "log-title" }, "What was changed"), this.fault, this.list, this.more);
  }

  /**
   * Ask again only if something has changed.
   *
   * @param {string} standing Differs after each change.
   * @param {boolean} hasRollout Whether there ever was one: without, it has no history.
   */
  show(standing, hasRollout) {
    if (standing === this.#shownFor) return;
    this.#shownFor = standing;
    this.#hasRollout = hasRollout;
    this.#load();
  }

  #showMore() {
    this.#limit = MORE;
    this.#load();
  }

  async #load() {
    this.#asked += 1;
    const asked = this.#asked;
    try {
      const [flag, rollout] = await Promise.all([
        calls.flagChanges(this.#limit + 1),
        this.#hasRollout ? calls.rolloutChanges(this.#limit + 1) : { history: [] },
      ]);
      if (asked !== this.#asked) return;
      const changes = merged(flag.history, rollout.history);
      this.fault.hidden = true;
      this.more.hidden = this.#limit >= MORE || changes.length <= this.#limit;
      this.list.replaceChildren(...changes.slice(0, this.#limit).map(entry));
    } catch (error) {
      if (asked !== this.#asked) return;
      this.#shownFor = "";
      this.fault.hidden = false;
      this.fault.textContent = `The history cannot be read. ${sentence(error)}`;
    }
  }
}

/**
 * One write may change both: it is told once, by what the rollout says of it.
 *
 * @param {Change[]} flag @param {Change[]} rollout
 * @returns {Change[]} The newest first.
 */
export function merged(flag, rollout) {
  const known = new Map(rollout.map((change) => [change.version, change]));
  const both = [...rollout.map((change) => ({ ...change })), ...flag.filter((change) => !known.has(change.version))];
  for (const change of flag) {
    const same = both.find((each) => each.version === change.version);
    if (same) Object.assign(same, { percentages: percentages(change) });
  }
  return both.sort((one, other) => other.version - one.version);
}

/** @param {Change} change @returns {[number|undefined, number|undefined]} */
function percentages({ before, after }) {
  const of = (/** @type {Record<string, any>|null} */ side) => side?.rollout?.percentage ?? side?.rolloutPercentage;
  return [of(before), of(after)];
}

/** @param {Change & {percentages?: [number|undefined, number|undefined]}} change */
function entry(change) {
  const [before, after] = change.percentages ?? [undefined, undefined];
  const why = change.why || (change.after?.reason ?? "");
  return h("li", { "data-action": change.action },
    h("p", {}, h("strong", {}, sentenceOf(change)), " ", before !== after && after !== undefined
      ? h("span", { class: "moved" }, `${before === undefined ? "" : `${stage(before)} → `}${stage(after)}`) : null),
    why ? h("p", { class: "why" }, why) : null,
    h("p", { class: "quiet" }, [moment(change.at), `version ${change.version}`, byWhat(change.who)].filter(Boolean).join(" · ")));
}

/** @param {Change} change */
function sentenceOf(change) {
  const who = whoWords(change.who);
  return `${who.charAt(0).toUpperCase()}${who.slice(1)} ${actionWords(change.action)}`;
}
