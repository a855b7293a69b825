/**
 * Speaks with the browser's own voices, where the server has none: a written answer, sentence by
 * sentence, because some browsers fall silent in the middle of a long text.
 *
 * @module speech/browser_player
 */

/** @typedef {import("./player.js").PlayerState} PlayerState */

/** Whether the browser can speak at all. */
export const hasBrowserVoices = () => "speechSynthesis" in window && speechSynthesis.getVoices().length > 0;

/** As a `Player`, of ranges of text on the page. */
export class BrowserPlayer {
  #next = 0;
  /** Utterances that are cut still tell of their end: it counts for the current one only. */
  #current = 0;
  /** @type {PlayerState} */
  #state = "loading";
  failures = 0;
  successes = 0;
  isDrained = false;

  /**
   * @param {Range[]} sentences
   * @param {{onState: (state: PlayerState) => void, onSentence: (sentence: Range) => void}} listeners
   */
  constructor(sentences, listeners) {
    this.sentences = sentences;
    this.listeners = listeners;
    speechSynthesis.cancel();
    queueMicrotask(() => this.#speak());
  }

  get state() {
    return this.#state;
  }

  pause() {
    if (this.#state !== "playing") return;
    speechSynthesis.pause();
    this.#become("paused");
  }

  resume() {
    if (this.#state !== "paused") return;
    speechSynthesis.resume();
    this.#become("playing");
  }

  skip() {
    if (this.#state === "ended") return;
    this.resume();
    this.#current += 1;
    speechSynthesis.cancel();
    this.#speak();
  }

  stop() {
    if (this.#state === "ended") return;
    this.#current += 1;
    speechSynthesis.cancel();
    speechSynthesis.resume();
    this.#become("ended");
  }

  #speak() {
    if (this.#state === "ended") return;
    const sentence = this.sentences[this.#next];
    this.isDrained = !sentence;
    if (!sentence) return this.stop();
    this.#next += 1;
    this.#current += 1;
    const mine = this.#current;
    const utterance = new SpeechSynthesisUtterance(sentence.toString());
    utterance.lang = navigator.language;
    utterance.onstart = () => { if (mine === this.#current) this.#begun(sentence); };
    utterance.onend = () => { if (mine === this.#current) this.#speak(); };
    utterance.onerror = () => {
      if (mine !== this.#current) return;
      this.failures += 1;
      this.#speak();
    };
    speechSynthesis.speak(utterance);
  }

  /** @param {Range} sentence */
  #begun(sentence) {
    this.successes += 1;
    this.#become("playing");
    this.listeners.onSentence(sentence);
  }

  /** @param {PlayerState} state */
  #become(state) {
    if (state === this.#state) return;
    this.#state = state;
    this.listeners.onState(state);
  }
}
