/**
 * One answer: its text, what became of it, and what can be done with it.
 *
 * @module view/messages/answer
 */

import { ending } from "../../problems.js";
import { isFinal, isWriting, shownText } from "../../turn.js";
import { AnswerBar } from "./answer_bar.js";
import { copyText } from "./clipboard.js";
import { h } from "../dom.js";
import { Prose } from "./prose.js";
import { SpeechControls } from "./speech_controls.js";
import { sentencesIn, SpokenMark } from "./spoken_mark.js";

/** @typedef {import("../../turn.js").TurnState} TurnState */
/** @typedef {{label: string, press: () => void}} Choice */

/**
 * @typedef {object} AnswerActions
 * @property {() => void} retry
 * @property {(messageId: string, rating: "up"|"down") => Promise<boolean>} rate  Whether it is kept.
 * @property {(step: number) => void} turnPage
 * @property {(text: string) => void} announce
 * @property {(answer: AnswerView, turn: TurnState) => void} listen  Speak it; again: stop.
 * @property {() => void} toggleSpeech
 * @property {() => void} skipSpeech
 * @property {() => void} stopSpeech
 */

/** Drawing may take this share of the time at most, however long the last block grows. */
const DRAWING_SHARE = 0.2;

/** Shows a turn's answer as it is now. */
export class AnswerView {
  /** @type {TurnState|null} */
  #turn = null;
  #isDrawn = true;
  #drawnAt = 0;
  #drawingMs = 0;
  #wasLive = false;
  #isSpoken = false;

  /** @param {AnswerActions} actions */
  constructor(actions) {
    this.actions = actions;
    this.text = h("div", { class: "prose" });
    this.waiting = h("div", { class: "waiting", role: "status" },
      h("span", { class: "dots", "aria-hidden": "true" }, h("i"), h("i"), h("i")),
      h("span", { class: "waiting-words" }));
    this.note = h("div", { class: "note", hidden: true });
    this.bar = new AnswerBar({
      copy: () => this.#copyAnswer(),
      listen: () => { if (this.#turn) actions.listen(this, this.#turn); },
      rate: (rating) => this.#rate(rating),
      retry: () => actions.retry(),
      turnPage: (step) => actions.turnPage(step),
    });
    this.speech = new SpeechControls({
      toggle: () => (this.speech.isOffered && this.#turn ? actions.listen(this, this.#turn) : actions.toggleSpeech()),
      skip: () => actions.skipSpeech(),
      stop: () => actions.stopSpeech(),
    });
    this.element = h("article", { class: "answer", "aria-label": "Answer" },
      h("h2", { class: "unseen" }, "Assistant"), this.text, this.waiting, this.note, this.speech.element, this.bar.element);
    // What is spoken aloud is not read out as well.
    this.prose = new Prose(this.text, (block) => { if (!this.#isSpoken) actions.announce(spoken(block)); });
    this.mark = new SpokenMark(this.prose);
  }

  /** @param {TurnState} turn @param {{rating?: string}} [known] */
  show(turn, known = {}) {
    const before = this.#turn;
    this.#turn = turn;
    if (known.rating) this.bar.markRating(known.rating);
    if (before && looksSame(before, turn)) return;
    if (isWriting(turn)) {
      this.#wasLive = true;
      this.#drawSoon();
      return;
    }
    this.#draw();
    if (this.#wasLive) this.#announceEnd(turn);
    this.#wasLive = false;
  }

  /**
   * @param {import("./speech_controls.js").SpeechViewState} state
   * @param {string} [note]
   */
  showSpeech(state, note) {
    const wasSpoken = this.#isSpoken;
    this.#isSpoken = state !== "ended" && state !== "offered";
    this.speech.show(state, note);
    this.bar.setSpoken(this.#isSpoken);
    if (state === "blocked") this.actions.announce("Your browser holds back the sound. Press “Tap to listen”.");
    // Not a word was heard: then it is read out after all.
    if (note && wasSpoken) [note, ...[...this.text.children].map(spoken)].forEach(this.actions.announce);
  }

  /** @param {{start: number, end: number}|null} piece What is heard now; code points of the text. */
  markSpoken(piece) {
    this.mark.show(piece);
  }

  /** @param {Range} sentence One of `sentences`, which is heard now. */
  markSentence(sentence) {
    this.mark.showRange(sentence);
  }

  /** What can be read out of it, by the browser's own voice. */
  get sentences() {
    return sentencesIn(this.text);
  }

  /** @param {TurnState} turn */
  #announceEnd(turn) {
    const words = ending(turn) || (this.#isSpoken ? "" : "The answer is complete.");
    this.actions.announce(words);
  }

  /** @param {string} text @param {Choice[]} [choices] */
  say(text, choices = []) {
    this.note.replaceChildren(h("span", {}, text), ...choices.map(({ label, press }) =>
      h("button", { type: "button", class: "text-button", on: { click: press } }, label)));
    this.note.hidden = !text;
    this.waiting.hidden = Boolean(text) || this.waiting.hidden;
  }

  /**
   * As `say`, but the first choice can only be taken after a while, which is counted down.
   *
   * @param {string} text @param {Choice[]} choices @param {number} seconds
   */
  sayAfter(text, choices, seconds) {
    this.say(text, choices);
    const button = this.note.querySelector("button");
    if (!button || seconds <= 0) return;
    const openAt = Date.now() + seconds * 1000;
    const tick = () => {
      const left = Math.ceil((openAt - Date.now()) / 1000);
      button.disabled = left > 0;
      button.textContent = left > 0 ? `${choices[0].label} in ${left} s` : choices[0].label;
      if (left <= 0 || !button.isConnected) clearInterval(timer);
    };
    const timer = setInterval(tick, 500);
    tick();
  }

  /** @param {string} words What is being waited for, when that is not obvious. */
  setWaiting(words) {
    this.waiting.lastElementChild?.replaceChildren(words);
    this.waiting.hidden = false;
  }

  #drawSoon() {
    if (!this.#isDrawn) return;
    this.#isDrawn = false;
    const rest = this.#drawnAt + this.#drawingMs / DRAWING_SHARE - performance.now();
    const draw = () => requestAnimationFrame(() => { if (!this.#isDrawn) this.#draw(); });
    // A hidden tab has no frames: it draws when it is seen, or at the end.
    if (rest > 16) setTimeout(draw, rest);
    else draw();
  }

  #draw() {
    const turn = this.#turn;
    if (!turn) return;
    this.#isDrawn = true;
    const began = performance.now();
    const text = shownText(turn);
    const isLive = isWriting(turn);
    if (isLive) this.prose.grow(text);
    else this.prose.finish(text);
    this.mark.refresh();
    this.#drawState(turn, text, isLive);
    this.#drawnAt = performance.now();
    this.#drawingMs = this.#drawnAt - began;
  }

  /** @param {TurnState} turn @param {string} text @param {boolean} isLive */
  #drawState(turn, text, isLive) {
    this.element.dataset.status = turn.status;
    this.element.dataset.messageId = turn.messageId;
    this.element.setAttribute("aria-busy", String(isLive));
    this.text.classList.toggle("is-writing", isLive && turn.stoppedAt === null && text !== "");
    this.waiting.hidden = !isLive || text !== "";
    this.bar.show(turn, text);
    if (isFinal(turn)) this.say(ending(turn), this.#waysOn(turn));
  }

  /** @param {TurnState} turn @returns {Choice[]} Shown for the newest answer only. */
  #waysOn({ status, error }) {
    const isBroken = status === "interrupted" || (status === "failed" && error?.retryable !== false);
    return isBroken ? [{ label: "Try again", press: () => this.actions.retry() }] : [];
  }

  async #copyAnswer() {
    const done = await copyText(this.#turn ? shownText(this.#turn) : "");
    this.bar.confirmCopy(done);
    this.actions.announce(done ? "Copied." : "Copying was not allowed.");
  }

  /** @param {"up"|"down"} rating */
  async #rate(rating) {
    const messageId = this.#turn?.messageId;
    if (!messageId) return;
    if (await this.actions.rate(messageId, rating)) this.bar.markRating(rating);
  }
}

/**
 * Whether nothing has changed that an answer shows: while it is only spoken, events come and go.
 *
 * @param {TurnState} before @param {TurnState} after
 */
function looksSame(before, after) {
  return isWriting(before) === isWriting(after) && before.status === after.status
    && shownText(before) === shownText(after) && before.stoppedAt === after.stoppedAt
    && before.messageId === after.messageId && before.isStored === after.isStored;
}

/** @param {Element} block @returns {string} What a screen reader is told of a finished block. */
function spoken(block) {
  if (block.classList.contains("code-frame")) {
    const lines = (block.querySelector("code")?.textContent ?? "").split("\n").length;
    return `Code, ${lines} ${lines === 1 ? "line" : "lines"}.`;
  }
  return block.textContent ?? "";
}
