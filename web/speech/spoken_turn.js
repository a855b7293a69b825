/**
 * The open conversation's part in speech: asks for it, begins it, and ends it with the answer.
 *
 * @module speech/spoken_turn
 */

import * as api from "../api.js";
import { isFinal, isWriting } from "../turn.js";

/** @typedef {import("../turn.js").TurnState} TurnState */
/** @typedef {import("../view/messages/answer.js").AnswerView} AnswerView */

/**
 * @typedef {object} Conversation What is followed now.
 * @property {() => {turn: TurnState|null, answer: AnswerView|null}} now
 * @property {(event: import("../turn.js").TurnEvent) => void} apply
 * @property {() => void} reattach  Read on from the cursor, in a new connection.
 */

/** Speech of the turn that the conversation follows, and of the answers above it. */
export class SpokenTurn {
  /** The user has stopped the speech of this turn. */
  #isDeclined = false;
  /** The browser is to read the answer out once it is written. */
  #isAwaited = false;

  /**
   * @param {import("./speaking.js").Speaking} speaking
   * @param {import("./preference.js").Preference} preference
   * @param {Conversation} conversation
   */
  constructor(speaking, preference, conversation) {
    this.speaking = speaking;
    this.preference = preference;
    this.conversation = conversation;
  }

  /** In the user's gesture: what a start asks for. */
  wish() {
    const wish = this.preference.wish();
    if (wish.speech) this.speaking.sound.unlock();
    this.#isAwaited = this.preference.isOn && this.preference.usesBrowser;
    return wish;
  }

  /** A turn that this tab has started, and asked to be spoken. */
  begin() {
    const { turn, answer } = this.conversation.now();
    if (!turn || !answer || turn.stoppedAt !== null) return;
    this.#isDeclined = false;
    const taken = (/** @type {number} */ through) => {
      if (this.conversation.now().turn?.turnId === turn.turnId) {
        this.conversation.apply({ type: "speech.taken", data: { through } });
      }
    };
    this.speaking.speakTurn(answer, turn, taken);
  }

  /** The answer came whole: it is spoken from its record. */
  beginWhole() {
    const { turn, answer } = this.conversation.now();
    if (turn?.status === "completed" && turn.text && answer) this.speaking.listen(answer, turn);
  }

  /** @param {TurnState} before @param {TurnState} turn As it is now. */
  follow(before, turn) {
    this.speaking.follow(turn);
    const { answer } = this.conversation.now();
    if (isWriting(before) && !isWriting(turn)) this.#readOut(answer, turn);
    if (this.#isDeclined && turn.isTextDone && !before.isTextDone) this.#cancel(turn);
    if (!answer || turn.keepsAudio || this.#isDeclined || this.speaking.speaks(answer)) return;
    // This tab did not ask for it, or was loaded anew: it begins at a tap.
    if (isFinal(turn)) answer.showSpeech("ended");
    else if (!before.speech.next && turn.speech.next) answer.showSpeech("offered");
  }

  /** No more speech; the text goes on. */
  stop() {
    this.speaking.stop();
    this.#isAwaited = false;
    const { turn } = this.conversation.now();
    if (!turn?.keepsAudio || isFinal(turn)) return;
    this.#isDeclined = true;
    this.conversation.apply({ type: "speech.declined", data: {} });
    if (isWriting(turn)) this.conversation.reattach();
    else this.#cancel(turn);
  }

  /** Begin with an answer, or stop it where it is the one that speaks. @param {AnswerView} answer @param {TurnState} shown */
  listen(answer, shown) {
    const { turn } = this.conversation.now();
    if (this.speaking.speaks(answer)) this.stop();
    else if (this.preference.usesBrowser) this.speaking.readOut(answer, shown);
    else if (turn?.turnId === shown.turnId && !isFinal(turn)) this.begin();
    else this.speaking.listen(answer, shown);
  }

  /** @param {AnswerView|null} answer @param {TurnState} turn */
  #readOut(answer, turn) {
    const isWanted = this.#isAwaited && turn.status !== "cancelled";
    this.#isAwaited = false;
    if (isWanted && answer) this.speaking.readOut(answer, turn);
  }

  /** Where the text is whole this ends its speech, which nobody would hear. @param {TurnState} turn */
  #cancel(turn) {
    api.cancelTurn(turn.turnId, turn.cursor).catch(() => {});
  }
}
