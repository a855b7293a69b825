/**
 * The small buttons below an answer.
 *
 * @module view/messages/answer_bar
 */

import { isWriting } from "../../turn.js";
import { h, icon, iconButton } from "../dom.js";

/**
 * @typedef {object} BarActions
 * @property {() => void} copy
 * @property {() => void} listen  Speak it; again: stop.
 * @property {(rating: "up"|"down") => void} rate
 * @property {() => void} retry
 * @property {(step: number) => void} turnPage  To another of several answers.
 */

/** Versions, copy, rating, try again, and which model it was. */
export class AnswerBar {
  /** @param {BarActions} actions */
  constructor(actions) {
    this.copy = iconButton("copy", "Copy the answer", actions.copy);
    this.listen = iconButton("speaker", "Listen to the answer", actions.listen);
    this.listen.classList.add("listen");
    this.up = iconButton("up", "Good answer", () => actions.rate("up"));
    this.down = iconButton("down", "Bad answer", () => actions.rate("down"));
    this.retry = iconButton("retry", "Try again", actions.retry);
    this.earlier = iconButton("left", "Earlier answer", () => actions.turnPage(-1));
    this.later = iconButton("right", "Later answer", () => actions.turnPage(1));
    this.versionLabel = h("span", {});
    this.version = h("span", { class: "version", hidden: true }, this.earlier, this.versionLabel, this.later);
    this.details = h("span", { class: "details" });
    this.element = h("div", { class: "answer-bar", role: "group", "aria-label": "About this answer", hidden: true },
      this.version, this.copy, this.listen, this.up, this.down, this.retry, this.details);
  }

  /** @param {import("../../turn.js").TurnState} turn @param {string} text As shown. */
  show(turn, text) {
    this.element.hidden = isWriting(turn);
    this.copy.hidden = text === "";
    this.listen.hidden = text === "" || turn.turnId === "";
    this.up.hidden = this.down.hidden = turn.messageId === "" || !turn.isStored;
    this.details.textContent = turn.model;
    this.details.title = describe(turn);
  }

  /** @param {number} index From 0. @param {number} count */
  setVersion(index, count) {
    this.version.hidden = count < 2;
    this.versionLabel.textContent = `${index + 1} / ${count}`;
    this.earlier.disabled = index === 0;
    this.later.disabled = index === count - 1;
  }

  /** @param {boolean} isLast Only the newest answer can be tried again. */
  setLast(isLast) {
    this.retry.hidden = !isLast;
  }

  /** @param {string} rating */
  markRating(rating) {
    this.up.setAttribute("aria-pressed", String(rating === "up"));
    this.down.setAttribute("aria-pressed", String(rating === "down"));
  }

  /** @param {boolean} isSpoken */
  setSpoken(isSpoken) {
    const label = isSpoken ? "Stop speaking" : "Listen to the answer";
    this.listen.title = label;
    this.listen.setAttribute("aria-label", label);
    this.listen.classList.toggle("is-on", isSpoken);
  }

  /** @param {boolean} isDone */
  confirmCopy(isDone) {
    this.copy.replaceChildren(icon(isDone ? "check" : "cross"));
    setTimeout(() => this.copy.replaceChildren(icon("copy")), 1500);
  }
}

/** @param {import("../../turn.js").TurnState} turn @returns {string} Model, usage and times. */
function describe({ model, usage, timings }) {
  const parts = [model && `Model: ${model}`];
  if (typeof usage?.output_tokens === "number") {
    const about = usage.source === "exact" ? "" : "about ";
    parts.push(`${about}${usage.input_tokens ?? "?"} tokens in, ${usage.output_tokens} out`);
  }
  if (typeof timings?.ttft_s === "number") parts.push(`first words after ${timings.ttft_s.toFixed(2)} s`);
  if (typeof timings?.total_s === "number") parts.push(`whole answer after ${timings.total_s.toFixed(1)} s`);
  return parts.filter(Boolean).join("\n");
}
