/**
 * Who speaks on this page: at most one answer at a time, in one tab at a time.
 *
 * A live answer speaks by itself only in the tab that asked for it and on the page that asked: after
 * a reload it waits for a tap, and then goes on behind what had been heard.
 *
 * @module speech/speaking
 */

import * as api from "../api.js";
import { heardUnits, keepHeard, tell } from "../tabs.js";
import { shownText } from "../turn.js";
import { BrowserPlayer } from "./browser_player.js";
import { Player } from "./player.js";
import { LiveSource, ReplaySource } from "./sources.js";
import { pieceAt, piecesOf } from "./state.js";

/** @typedef {import("../turn.js").TurnState} TurnState */
/** @typedef {import("../view/messages/answer.js").AnswerView} AnswerView */

/** The server makes audio for those who play it, and not much more than they will hear soon. */
const REPORT_EVERY_MS = 2000;
const NOTE_FOR_MS = 6000;

/**
 * @typedef {object} Performance One answer while it is spoken.
 * @property {AnswerView} answer
 * @property {TurnState} turn
 * @property {LiveSource|null} live
 * @property {number} first   Index of the first unit that it is to speak.
 * @property {Player|BrowserPlayer} player
 */

/** The page's voice. */
export class Speaking {
  /** @type {Performance|null} */
  #now = null;
  /** @type {number|undefined} */
  #reporter;

  /** @param {import("./sound.js").Sound} sound */
  constructor(sound) {
    this.sound = sound;
    window.addEventListener("pagehide", () => this.stop());
  }

  get isActive() {
    return this.#now !== null;
  }

  /** @param {AnswerView} answer */
  speaks(answer) {
    return this.#now?.answer === answer;
  }

  /**
   * Speak a running turn.
   *
   * @param {AnswerView} answer
   * @param {TurnState} turn
   * @param {(through: number) => void} taken Told which audio need not be kept any more.
   */
  speakTurn(answer, turn, taken) {
    const first = heardUnits(turn.turnId);
    this.#begin({ answer, turn, live: new LiveSource(turn, first, taken), first });
  }

  /** Speak an answer that was written; again: stop. @param {AnswerView} answer @param {TurnState} turn */
  listen(answer, turn) {
    const isStop = this.speaks(answer);
    this.stop();
    if (isStop) return;
    this.sound.unlock();
    this.#begin({ answer, turn, live: null, first: 0 });
  }

  /** Have the browser read a written answer; again: stop. @param {AnswerView} answer @param {TurnState} turn */
  readOut(answer, turn) {
    const isStop = this.speaks(answer);
    this.stop();
    if (isStop) return;
    tell({ type: "speech.begun" });
    const mine = /** @type {Performance} */ ({ answer, turn, live: null, first: 0 });
    this.#now = mine;
    answer.showSpeech("loading");
    mine.player = new BrowserPlayer(answer.sentences, {
      onState: (state) => this.#changed(mine, state),
      onSentence: (sentence) => answer.markSentence(sentence),
    });
  }

  /** The turn that is spoken has gone on. @param {TurnState} turn */
  follow(turn) {
    const now = this.#now;
    if (!now || now.turn.turnId !== turn.turnId) return;
    if (turn.status === "cancelled" || turn.sessionEnded || turn.stoppedAt !== null) return this.stop();
    const isSame = now.turn.speech === turn.speech && now.turn.status === turn.status;
    now.turn = turn;
    const { live, player } = now;
    if (isSame || !live || !(player instanceof Player)) return;
    if (live.update(turn)) player.withdraw((clip) => !live.holds(clip));
  }

  /** Silence at once; nothing that waits will be heard. */
  stop() {
    this.#now?.player.stop();
  }

  skip() {
    this.#now?.player.skip();
    this.#report();
  }

  /** Pause, or go on. */
  toggle() {
    const player = this.#now?.player;
    if (player?.state === "playing" || player?.state === "loading") player.pause();
    else {
      this.sound.unlock();
      player?.resume();
    }
  }

  /** @param {Omit<Performance, "player">} what */
  #begin(what) {
    const { answer, turn, live } = what;
    this.stop();
    tell({ type: "speech.begun" });
    answer.showSpeech("loading");
    /** @type {Partial<Performance>} */
    const now = { ...what };
    const mine = /** @type {Performance} */ (now);
    this.#now = mine;
    now.player = new Player(this.sound, live ?? new ReplaySource(turn), {
      onState: (state) => this.#changed(mine, state),
      onPosition: (position) => answer.markSpoken(this.#pieceAt(mine, position)),
      onHeard: (clip) => { if (live) keepHeard(turn.turnId, clip.index + 1); },
    });
    if (live) this.#reporter = setInterval(() => this.#report(), REPORT_EVERY_MS);
  }

  /** @param {Performance} mine @param {import("./player.js").PlayerState} state */
  #changed(mine, state) {
    if (this.#now !== mine) return;
    if (state !== "ended") {
      mine.answer.showSpeech(state);
      if (state !== "loading") this.#report();
      return;
    }
    clearInterval(this.#reporter);
    this.#report();
    this.#now = null;
    if (mine.live) mine.live.taken(Infinity);
    mine.answer.markSpoken(null);
    const isMute = mine.player.isDrained && !mine.player.successes && mine.player.failures > 0;
    mine.answer.showSpeech("ended", isMute ? "This answer could not be spoken." : "");
    if (isMute) setTimeout(() => { if (!this.speaks(mine.answer)) mine.answer.showSpeech("ended"); }, NOTE_FOR_MS);
  }

  /**
   * @param {Performance} mine
   * @param {import("./player.js").Position} position
   */
  #pieceAt({ turn, player }, { clip, following, share }) {
    const pieces = piecesOf(clip, following, {
      sentences: turn.speech.sentences,
      length: [...shownText(turn)].length,
      isLast: player.isDrained && !following,
    });
    return pieceAt(pieces, share);
  }

  /** A report that is lost is made good by the next. */
  #report() {
    const now = this.#now;
    if (!now?.live || !(now.player instanceof Player)) return;
    const { units } = now.turn.speech;
    const before = secondsOf(units.filter(({ index }) => index < now.first));
    const playedS = before + now.player.playedS;
    const waitingS = now.player.state === "playing" ? Math.max(0, secondsOf(units) - playedS) : 0;
    api.reportPlayback(now.turn.turnId, playedS, waitingS).catch(() => {});
  }
}

/** @param {import("./state.js").Unit[]} units */
const secondsOf = (units) => units.reduce((sum, { durationS }) => sum + durationS, 0);
