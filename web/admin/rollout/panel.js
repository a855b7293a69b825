/**
 * The rollout of streaming: where it stands, what it is decided by, what can be done.
 *
 * @module admin/rollout/panel
 */

import { duration, stage } from "../words.js";
import { replaceIfChanged } from "../status.js";
import { ACTIONS } from "./actions.js";
import { Dialog } from "./dialog.js";
import { armsTable, evidenceCards } from "./evidence.js";
import { Log } from "./log.js";
import { track } from "./track.js";
import { holdWords, situation, stateWords, verdictWords } from "./words.js";
import { h, icon } from "../../view/dom.js";

/** @typedef {import("./words.js").Flag} Flag */

export class Rollout {
  /** @type {Flag|null} */
  #flag = null;

  /** @param {HTMLElement} place @param {{announce: (text: string) => void, signedOut: (why: string) => void}} around */
  constructor(place, around) {
    this.around = around;
    this.head = h("div", { class: "rollout-head" });
    this.said = h("div", { class: "rollout-said" });
    this.track = h("div", { class: "track-place" });
    this.holds = h("div", {});
    this.evidence = h("div", { class: "evidence-place" });
    this.verdicts = h("div", {});
    this.log = new Log();
    this.buttons = ACTIONS.map((action) => ({ action, element: this.#button(action) }));
    this.title = h("h2", { id: "rollout-title" }, "Rollout of streaming");
    place.replaceChildren(
      h("div", { class: "rollout-top" }, this.title, this.head,
        h("div", { class: "rollout-buttons" }, ...this.buttons.map(({ element }) => element))),
      this.said, this.track, this.holds, this.verdicts, this.evidence, this.log.element,
    );
  }

  /** @param {Flag|null} flag @param {{stale?: boolean, fault?: string|null, ageSeconds?: number|null}|null} store */
  show(flag, store) {
    this.#flag = flag;
    for (const { action, element } of this.buttons) element.hidden = !flag || !action.isOffered(flag);
    if (!flag) {
      replaceIfChanged(this.said, "unknown", () => [h("p", { class: "quiet" }, "How the flag stands is not known right now.")]);
      return;
    }
    const { word, tone, icon: name } = stateWords(flag.state);
    replaceIfChanged(this.head, `${flag.state}`, () => [h("span", { class: "pill", "data-tone": tone }, icon(name), word)]);
    this.#showSituation(flag, store);
    replaceIfChanged(this.track, content([flag.rollout, flag.state, flag.rolloutPercentage, flag.evidence?.bakeLeftSeconds]), () => [track(flag)]);
    this.#showHolds(flag);
    this.#showVerdicts(flag);
    const { at: _, ...told } = flag.evidence ?? {};
    replaceIfChanged(this.evidence, content([flag.state === "idle", told]), () => {
      const cards = evidenceCards(flag.evidence);
      const table = armsTable(flag.evidence);
      return cards.length ? cards : table ? [table] : [];
    });
    this.log.show(content([flag.version, flag.state, flag.rollout?.since, flag.rollout?.stage, flag.rollout?.isApproved]), Boolean(flag.rollout));
  }

  /** @param {Flag} flag @param {{stale?: boolean, ageSeconds?: number|null}|null} store */
  #showSituation(flag, store) {
    const stale = store?.stale ? `The flags’ store cannot be reached; this is what was last known, ${duration(store.ageSeconds)} ago.` : "";
    const why = flag.rollout?.reason && flag.state !== "idle" ? flag.rollout.reason : "";
    const words = situation(flag);
    replaceIfChanged(this.said, content([stage(flag.rolloutPercentage), words, why, stale]), () => [
      h("p", { class: "share-figure" }, flag.state === "killed" ? "0 %" : stage(flag.rolloutPercentage)),
      h("div", {}, h("p", {}, words), why ? h("p", { class: "quiet" }, `Last: ${why}`) : null,
        stale ? h("p", { class: "fault" }, stale) : null),
    ]);
  }

  /** @param {Flag} flag */
  #showHolds(flag) {
    const reasons = flag.state === "hold" ? flag.evidence?.holdReasons ?? [flag.rollout.hold] : [];
    const known = reasons.length || flag.state !== "hold" ? reasons : [flag.rollout.hold];
    const words = known.map((/** @type {string} */ reason) => holdWords(reason, flag));
    replaceIfChanged(this.holds, content(words), () => (words.length
      ? [h("ul", { class: "holds", "aria-label": "What holds it" }, ...words.map((/** @type {string} */ each) => h("li", {}, each)))]
      : []));
  }

  /** The operator's own thresholds are told beside what is decided by. @param {Flag} flag */
  #showVerdicts(flag) {
    const { verdict, literalVerdict } = flag.evidence ?? {};
    replaceIfChanged(this.verdicts, content([verdict, literalVerdict]), () => (verdict
      ? [h("dl", { class: "verdicts" },
        h("div", {}, h("dt", {}, "The evidence says"), h("dd", { "data-verdict": verdict }, verdictWords(verdict))),
        h("div", {}, h("dt", {}, "The plain thresholds would say"), h("dd", { "data-verdict": literalVerdict }, verdictWords(literalVerdict))))]
      : []));
  }

  /** @param {import("./actions.js").Action} action */
  #button(action) {
    const tone = action.tone === "danger" ? " danger-quiet" : action.tone === "main" ? " main-action" : "";
    return h("button", { type: "button", class: `button${tone}`, hidden: true, "data-action": action.id, on: { click: () => this.#ask(action) } }, action.label);
  }

  /** @param {import("./actions.js").Action} action */
  async #ask(action) {
    const flag = this.#flag;
    if (!flag) return;
    const dialog = new Dialog(action, () => this.#flag ?? flag, () => this.around.signedOut("Your sign-in has ended. Sign in again."));
    if (await dialog.ask()) this.around.announce(`Done: ${action.title(flag).toLowerCase()}.`);
  }
}

/** @param {unknown} value */
const content = (value) => JSON.stringify(value);
