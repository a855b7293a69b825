/**
 * What can be done while an answer is spoken: pause, next sentence, stop.
 *
 * @module view/messages/speech_controls
 */

import { h, icon, iconButton } from "../dom.js";

/** @typedef {import("../../speech/player.js").PlayerState|"offered"} SpeechViewState */

/**
 * @typedef {object} SpeechActions
 * @property {() => void} toggle  Pause, go on, or begin.
 * @property {() => void} skip
 * @property {() => void} stop
 */

const WORDS = {
  loading: "Preparing to speak…", playing: "Speaking", paused: "Paused",
  blocked: "", offered: "", ended: "",
};

/** The bar below an answer that is spoken. */
export class SpeechControls {
  /** @param {SpeechActions} actions */
  constructor(actions) {
    this.main = h("button", { type: "button", class: "speech-main", on: { click: actions.toggle } });
    this.skip = iconButton("skip", "Next sentence", actions.skip);
    this.stop = iconButton("stop", "Stop speaking", actions.stop);
    this.words = h("span", { class: "speech-words" });
    this.waves = h("span", { class: "waves", "aria-hidden": "true" }, h("i"), h("i"), h("i"));
    this.element = h("div", { class: "speech", role: "group", "aria-label": "Speech", hidden: true },
      this.main, this.skip, this.stop, this.waves, this.words);
  }

  /** Whether it waits for the reader to begin. */
  get isOffered() {
    return this.element.dataset.speech === "offered";
  }

  /** @param {SpeechViewState} state @param {string} [note] Shown when it is over. */
  show(state, note = "") {
    const isAsking = state === "blocked" || state === "offered";
    const hadFocus = this.element.contains(document.activeElement);
    this.element.dataset.speech = state;
    this.element.hidden = state === "ended" && !note;
    this.words.textContent = note || WORDS[state];
    for (const button of [this.main, this.skip, this.stop]) button.hidden = state === "ended";
    this.skip.hidden ||= isAsking;
    this.stop.hidden ||= state === "offered";
    this.skip.disabled = state === "loading";
    this.#drawMain(state, isAsking);
    if (hadFocus && this.main.hidden) nextButton(this.element)?.focus();
  }

  /** @param {SpeechViewState} state @param {boolean} isAsking */
  #drawMain(state, isAsking) {
    const isStill = isAsking || state === "paused";
    const label = isAsking ? "Tap to listen" : isStill ? "Go on speaking" : "Pause speaking";
    this.main.classList.toggle("icon-button", !isAsking);
    this.main.classList.toggle("text-button", isAsking);
    if (this.main.title === label) return;
    this.main.title = label;
    this.main.setAttribute("aria-label", label);
    this.main.replaceChildren(icon(isAsking ? "speaker" : isStill ? "play" : "pause"), isAsking ? label : "");
  }
}

/** @param {HTMLElement} element @returns {HTMLElement|null|undefined} Where the focus goes from a bar that is gone. */
function nextButton(element) {
  return element.closest("article")?.querySelector(".answer-bar button:not([hidden])");
}
