/**
 * The stages of a rollout in a row, and where it stands.
 *
 * @module admin/rollout/track
 */

import { isKnown, stage } from "../words.js";
import { h } from "../../view/dom.js";

const STOPPED = new Set(["rolled_back", "killed", "disabled"]);

/** @param {import("./words.js").Flag} flag @returns {HTMLElement} */
export function track(flag) {
  const { rollout } = flag;
  if (!rollout) return share(flag.rolloutPercentage);
  const stages = rollout.stages.map((/** @type {number} */ percentage, /** @type {number} */ index) =>
    step(flag, index, stage(percentage)));
  return h("ol", { class: "track", "aria-label": "Stages" }, ...stages, step(flag, rollout.stages.length, "Final bake"));
}

/** @param {import("./words.js").Flag} flag @param {number} index @param {string} name */
function step(flag, index, name) {
  const { rollout } = flag;
  const at = reached(rollout);
  const isDone = rollout.state === "completed" || index < at;
  const isHere = !isDone && index === at;
  const where = isDone ? "passed" : isHere ? "here" : "ahead";
  const said = { passed: ", passed", here: STOPPED.has(flag.state) ? ", stopped here" : ", now", ahead: "" }[where];
  const element = h("li", { class: "step", "data-where": where }, h("i", { "aria-hidden": "true" }),
    h("span", {}, name), h("span", { class: "unseen" }, said));
  if (isHere) {
    element.setAttribute("aria-current", "step");
    element.dataset.state = flag.state;
    element.style.setProperty("--baked", String(baked(flag)));
  }
  if (rollout.plan?.approval_at?.includes(rollout.stages[index])) {
    element.dataset.asks = "true";
    element.append(h("span", { class: "asks", title: "Ends with a person’s approval" }, "approval"));
  }
  return element;
}

/** @param {Record<string, any>} rollout @returns {number} Beyond the last stage: the final bake. */
function reached(rollout) {
  return rollout.state === "final_bake" ? rollout.stages.length : rollout.stage;
}

/** @param {import("./words.js").Flag} flag @returns {number} The share of the bake that is over. */
function baked(flag) {
  const left = flag.evidence?.bakeLeftSeconds;
  const plan = flag.rollout.plan ?? {};
  const whole = flag.rollout.state === "final_bake" ? plan.final_bake_s : plan.bake_s;
  return isKnown(left) && whole > 0 ? Math.min(1, Math.max(0, 1 - left / whole)) : 0;
}

/** @param {number} percentage */
function share(percentage) {
  const bar = h("div", { class: "share", role: "img", "aria-label": `${stage(percentage)} of users` }, h("i"));
  bar.style.setProperty("--share", String(percentage / 100));
  return bar;
}
