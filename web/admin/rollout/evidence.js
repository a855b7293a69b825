/**
 * What speaks for promoting a stage and what for rolling it back, metric by metric.
 *
 * Three lines each: the estimate between the operator's two thresholds, the evidence that a stage
 * needs to pass, and the alarm that rolls back.
 *
 * @module admin/rollout/evidence
 */

import { count, decimal, isKnown, milliseconds, NOTHING, percent } from "../words.js";
import { h } from "../../view/dom.js";

/** @typedef {Record<string, any>} Metric */

const seconds = (/** @type {any} */ value) => milliseconds(isKnown(value) ? value * 1000 : null);
const METRICS = /** @type {const} */ ([
  { key: "error", name: "Error rate", shown: percent },
  { key: "success", name: "Success rate", shown: percent },
  { key: "ttft", name: "Mean time to first token", shown: seconds },
]);

/** @param {Record<string, any>|null} evidence @returns {HTMLElement[]} Empty without a rollout. */
export function evidenceCards(evidence) {
  const told = METRICS.filter(({ key }) => evidence?.[key]);
  if (!evidence || !told.length) return [];
  const cards = told.map(({ key, name, shown }) => metricCard(name, evidence[key], shown));
  return [...cards, ...(evidence.control ? [comparisonCard(evidence)] : []), ...(evidence.srm ? [sharesCard(evidence)] : [])];
}

/** @param {string} name @param {Metric} metric @param {(value: any) => string} shown */
function metricCard(name, metric, shown) {
  const halfway = isKnown(metric.alarmAt) ? 0.5 : undefined;
  return card(name, `${count(metric.n)} requests in this stage`,
    h("p", { class: "figure" }, shown(metric.estimate)),
    scale(metric, shown),
    bar({ name: "For promoting", value: metric.promoteEvidence, full: metric.promoteNeeded, tone: "for" }),
    bar({ name: "Alarm", value: metric.alarm, full: metric.alarmAt, tone: "against", mark: halfway }),
    h("p", { class: "quiet" }, needs(metric)));
}

/** @param {Metric} metric */
function needs({ n, needMore, promoteEvidence, promoteNeeded }) {
  if (isKnown(promoteEvidence) && promoteEvidence >= promoteNeeded) return "Enough evidence to pass.";
  if (isKnown(needMore)) return needMore > 0 ? `Needs about ${count(needMore)} more requests like these.` : "Enough requests.";
  return n > 0 ? "Does not pass as it is: the estimate is not below the threshold." : NOTHING;
}

/**
 * The estimate between the thresholds. For success higher is better: the line is then drawn from
 * the bad end too, so that left is always good.
 *
 * @param {Metric} metric @param {(value: any) => string} shown
 */
function scale({ estimate, promoteAt, rollBackAt }, shown) {
  const isHighGood = promoteAt > rollBackAt;
  const badness = (/** @type {number} */ value) => (isHighGood ? 1 - value : value);
  const end = badness(rollBackAt) * 1.5 || 1;
  const place = (/** @type {number} */ value) => Math.min(1, Math.max(0, badness(value) / end));
  const words = [isHighGood ? "above" : "below", isHighGood ? "below" : "above"];
  const label = `${shown(estimate)}; promotes ${words[0]} ${shown(promoteAt)}, rolls back ${words[1]} ${shown(rollBackAt)}`;
  const line = h("div", { class: "scale", role: "img", "aria-label": label },
    h("i", { class: "good" }), h("i", { class: "bad" }), ...(isKnown(estimate) ? [h("b")] : []));
  line.style.setProperty("--promote", String(place(promoteAt)));
  line.style.setProperty("--roll-back", String(place(rollBackAt)));
  if (isKnown(estimate)) line.style.setProperty("--at", String(place(estimate)));
  const ends = h("p", { class: "scale-ends", "aria-hidden": "true" },
    h("span", {}, `${isHighGood ? ">" : "<"} ${shown(promoteAt)} promotes`),
    h("span", {}, `${isHighGood ? "<" : ">"} ${shown(rollBackAt)} rolls back`));
  return h("div", { class: "estimate" }, line, ends);
}

/**
 * @param {{name: string, value: any, full: any, tone: "for"|"against", mark?: number}} what
 *   `mark` is a place on the bar, 0 to 1: an alarm above half of its limit lets nothing pass.
 */
function bar({ name, value, full, tone, mark }) {
  const meter = h("div", {
    class: "bar", "data-tone": tone, role: "meter", "aria-label": name, "aria-valuemin": "0",
    "aria-valuemax": String(isKnown(full) ? full : 1),
    "aria-valuenow": String(isKnown(value) ? Math.min(Math.max(value, 0), full) : 0),
    "aria-valuetext": `${decimal(value)} of ${decimal(full)}`,
  }, h("i"), ...(mark === undefined ? [] : [h("s")]));
  const filled = isKnown(value) && full > 0 ? Math.min(1, Math.max(0, value / full)) : 0;
  meter.style.setProperty("--filled", String(filled));
  meter.dataset.full = String(filled >= 1);
  if (mark !== undefined) meter.style.setProperty("--mark", String(mark));
  return h("div", { class: "bar-line" }, h("span", {}, name), meter,
    h("span", { class: "of", "aria-hidden": "true" }, `${decimal(value)} / ${decimal(full)}`));
}

/** @param {Record<string, any>} evidence */
function comparisonCard({ control, relative, failingUsers, cancelled }) {
  return card("Against the other arm", `${count(control.n)} requests without streaming`,
    facts([
      ["Their error rate", percent(control.errorRate)],
      ["Their first token", seconds(control.ttftSeconds)],
      ["Users with failures", count(failingUsers)],
      ["Cancelled by users", count(cancelled)],
    ]),
    bar({ name: "Both arms fail", value: control.alarm, full: control.alarmAt, tone: "against" }),
    ...(relative ? [bar({
      name: "Streaming fails more", value: relative.evidence, full: relative.alarmAt, tone: "against",
      mark: relative.confirmAt / relative.alarmAt,
    })] : []));
}

/** @param {Record<string, any>} evidence */
function sharesCard({ srm }) {
  const all = srm.usersOn + srm.usersOff;
  return card("Who came", "Users in this stage, by arm",
    facts([
      ["Streamed to", count(srm.usersOn)],
      ["Not streamed to", count(srm.usersOff)],
      ["Share expected", percent(srm.expectedShare)],
      ["Share seen", percent(all ? srm.usersOn / all : null)],
    ]),
    bar({ name: "Mismatch", value: srm.evidence, full: srm.alarmAt, tone: "against" }),
    h("p", { class: "quiet" }, srm.hasPower
      ? "Enough users to notice the loss of a tenth."
      : "Too few users to notice the loss of a tenth: no alarm means nothing yet."));
}

/** @param {string} name @param {string} about @param {...HTMLElement} content */
function card(name, about, ...content) {
  return h("article", { class: "evidence" }, h("h3", {}, name), h("p", { class: "quiet" }, about), ...content);
}

/** @param {[string, string][]} pairs */
function facts(pairs) {
  return h("dl", { class: "pairs" }, ...pairs.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

/** How the arms did in the last minutes, where no rollout gathers evidence. @param {Record<string, any>|null} evidence */
export function armsTable(evidence) {
  const arms = [["on", "Streamed"], ["off", "Whole answers"]].filter(([arm]) => evidence?.[arm]);
  if (!evidence || !arms.length) return null;
  const head = ["Arm", "Turns", "Success", "Errors", "Mean first token"];
  return h("div", { class: "table-wrap" }, h("table", {},
    h("caption", {}, `The arms in the last ${Math.round((evidence.windowSeconds ?? 300) / 60)} minutes`),
    h("thead", {}, h("tr", {}, ...head.map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", {}, ...arms.map(([arm, name]) => {
      const each = evidence[arm];
      return h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, count(each.turns)),
        h("td", {}, percent(each.success_rate)), h("td", {}, percent(each.error_rate)),
        h("td", {}, milliseconds(each.avg_ttft_ms)));
    }))));
}
