/**
 * The open conversation's messages: exchanges of one user's message and the answers to it.
 *
 * @module view/messages/pane
 */

import { AnswerView } from "./answer.js";
import { copyCodeIn } from "./clipboard.js";
import { h } from "../dom.js";

/** Closer to the end than this, the reader is taken to follow. Pixels. */
const NEAR_END_PX = 80;

/** One user's message, and the answers to it: more than one after «try again». */
export class ExchangeView {
  /** @type {AnswerView[]} */
  answers = [];
  /** The turn that answered last, or is to. */
  turnId = "";
  #shown = 0;

  /** @param {string} text @param {import("./answer.js").AnswerActions} actions */
  constructor(text, actions) {
    this.text = text;
    this.actions = { ...actions, turnPage: (/** @type {number} */ step) => this.#turnPage(step) };
    this.element = h("section", { class: "exchange" },
      h("article", { class: "question", "aria-label": "Your message", hidden: text === "" },
        h("h2", { class: "unseen" }, "You"), h("div", { class: "bubble" }, text)));
  }

  /** @returns {AnswerView} A new, empty answer, shown in place of the former one. */
  addAnswer() {
    const answer = new AnswerView(this.actions);
    this.answers.push(answer);
    this.element.append(answer.element);
    this.showVersion(this.answers.length - 1);
    return answer;
  }

  /** @param {AnswerView} answer */
  removeAnswer(answer) {
    answer.element.remove();
    this.answers = this.answers.filter((other) => other !== answer);
    if (this.answers.length) this.showVersion(this.answers.length - 1);
  }

  /** What is out of sight is not spoken. @param {number} step */
  #turnPage(step) {
    this.actions.stopSpeech();
    this.showVersion(this.#shown + step);
  }

  /** @param {number} index */
  showVersion(index) {
    this.#shown = Math.max(0, Math.min(index, this.answers.length - 1));
    this.answers.forEach((answer, at) => {
      answer.element.hidden = at !== this.#shown;
      answer.bar.setVersion(this.#shown, this.answers.length);
    });
  }

  /** @param {boolean} isLast */
  setLast(isLast) {
    this.answers.forEach((answer) => answer.bar.setLast(isLast));
  }
}

/** The scrolling column of exchanges. */
export class Pane {
  /** @type {ExchangeView[]} */
  exchanges = [];
  #follows = true;

  /**
   * @param {{scroller: HTMLElement, column: HTMLElement, jump: HTMLElement}} elements
   * @param {(text: string) => void} announce
   */
  constructor(elements, announce) {
    this.scroller = elements.scroller;
    this.column = elements.column;
    this.jump = elements.jump;
    copyCodeIn(this.column, announce);
    this.scroller.addEventListener("scroll", () => this.#noteScroll(), { passive: true });
    this.jump.addEventListener("click", () => this.toEnd());
    new ResizeObserver(() => { if (this.#follows) this.toEnd(); }).observe(this.column);
  }

  clear() {
    this.exchanges = [];
    this.column.replaceChildren();
    this.#follows = true;
    this.#noteScroll();
  }

  /** @param {Node} content Instead of messages: a welcome, a wait, a problem. */
  showInstead(content) {
    this.clear();
    this.column.append(content);
  }

  /** @param {ExchangeView} exchange */
  append(exchange) {
    if (!this.exchanges.length) this.column.replaceChildren();
    this.last?.setLast(false);
    this.exchanges.push(exchange);
    this.column.append(exchange.element);
    exchange.setLast(true);
    this.toEnd();
  }

  /** @param {ExchangeView} exchange */
  remove(exchange) {
    exchange.element.remove();
    this.exchanges = this.exchanges.filter((other) => other !== exchange);
    this.last?.setLast(true);
  }

  /** What is being read stays where it is. @param {ExchangeView[]} exchanges */
  prepend(exchanges) {
    const before = this.scroller.scrollHeight - this.scroller.scrollTop;
    this.exchanges.unshift(...exchanges);
    const first = this.column.querySelector(".exchange");
    for (const { element } of exchanges) this.column.insertBefore(element, first);
    for (const exchange of exchanges) exchange.setLast(exchange === this.last);
    this.scroller.scrollTop = this.scroller.scrollHeight - before;
  }

  /** @param {(() => void)|null} load Null: there is nothing earlier. */
  setEarlier(load) {
    this.column.querySelector(".earlier")?.remove();
    if (!load) return;
    const button = h("button", { type: "button", class: "text-button earlier", on: { click: load } }, "Show earlier messages");
    this.column.prepend(button);
  }

  get last() {
    return this.exchanges.at(-1);
  }

  toEnd() {
    this.#follows = true;
    this.scroller.scrollTop = this.scroller.scrollHeight;
    this.#noteScroll();
  }

  #noteScroll() {
    const { scrollHeight, scrollTop, clientHeight } = this.scroller;
    this.#follows = scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
    this.jump.hidden = this.#follows;
  }
}
