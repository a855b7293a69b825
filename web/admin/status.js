/**
 * The first line: is it well, what runs, since when, and what is wrong.
 *
 * @module admin/status
 */

import { count, duration } from "./words.js";
import { h } from "../view/dom.js";

const WORDS = { healthy: "Healthy", degraded: "Degraded", unhealthy: "Unhealthy" };
/** @type {Record<string, string>} */
const NAMES = {
  history: "History", model: "Model", speech: "Speech", flags: "Flags", redis: "Redis",
  error_rate: "Error rate", time_to_first_token_s: "First token", event_loop_lag_s: "Event loop",
};
const ORDER = /** @type {const} */ (["healthy", "degraded", "unhealthy"]);

/** @typedef {typeof ORDER[number]} Health */
/** @typedef {{name: string, status: string}} Check */

/** @param {HTMLElement} place @param {import("./live.js").State} state */
export function showStatus(place, state) {
  const checks = [...checksOf(state.health), ...checksOf(state.streaming_health)];
  const wrong = checks.filter((check) => check.status === "degraded" || check.status === "unhealthy");
  const health = worst([state.streaming_health?.status, state.health?.status]);
  const facts = factsOf(state);
  replaceIfChanged(place, JSON.stringify([health, facts, wrong]), () => [
    h("span", { class: "pill", "data-tone": health }, WORDS[health]),
    ...wrong.map((check) => h("span", { class: "pill small", "data-tone": check.status },
      `${NAMES[check.name] ?? check.name} ${check.status}`)),
    h("dl", { class: "facts" }, ...facts.map(([name, value]) =>
      h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
  ]);
}

/** @param {import("./live.js").State} state @returns {[string, string][]} */
function factsOf({ service, health, streaming }) {
  const seconds = service?.uptime_s;
  return [
    ["Version", service?.version ?? health?.version ?? ""],
    // By the minute: a figure that moves each second is read by nobody.
    ["Up", duration(seconds >= 120 ? seconds - (seconds % 60) : seconds)],
    ["Workers", streaming?.workers === undefined ? "" : count(streaming.workers)],
    ["Draining", health?.draining ? "yes" : ""],
  ].filter(([, value]) => value !== "").map(([name, value]) => [name, value]);
}

/** @param {any} health @returns {Check[]} */
function checksOf(health) {
  return Object.entries(health?.checks ?? {}).map(([name, check]) => ({ name, status: check?.status ?? "" }));
}

/** @param {unknown[]} said @returns {Health} */
function worst(said) {
  return ORDER[Math.max(0, ...said.map((status) => ORDER.indexOf(/** @type {Health} */ (status))))];
}

/**
 * What has not changed is left alone: a screen reader or a selection would lose its place.
 *
 * @param {HTMLElement} place @param {string} content @param {() => Node[]} make
 */
export function replaceIfChanged(place, content, make) {
  if (place.dataset.content === content) return;
  place.dataset.content = content;
  place.replaceChildren(...make());
}
