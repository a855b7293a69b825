/**
 * Plays the units of one answer in their order, on one clock, without a gap that was not meant.
 *
 * Little is decoded ahead, and what has been heard is let go. A unit that cannot be had or decoded is
 * left out. Pausing stops the clock, so nothing is lost or repeated; after `stop` nothing sounds.
 *
 * @module speech/player
 */

/** Units that are decoded before they are heard: some seconds of sound. */
const AHEAD = 3;
/** A unit is scheduled at least this far ahead of the clock, so that its first samples are not late. */
const LEAD_S = 0.05;
const TICK_MS = 50;

/**
 * @typedef {object} Clip A unit and its audio, still encoded.
 * @property {number} index
 * @property {number} sentence
 * @property {[number, number]|null} range  Its first sentence in the text, where the server said so.
 * @property {number} durationS  As the server measured it.
 * @property {string} mediaType
 * @property {ArrayBuffer|null} bytes  Null: it failed.
 */

/**
 * @typedef {object} Source
 * @property {() => Promise<Clip|null>} next  The next unit, as soon as it is there; null after the last.
 * @property {(clip: Clip, before: Clip|null) => number} pause  Seconds of silence between two.
 */

/** @typedef {"loading"|"playing"|"paused"|"blocked"|"ended"} PlayerState */
/** @typedef {{clip: Clip, following: Clip|null, share: number}} Position What is being heard; `share` of its time is over. */

/**
 * @typedef {object} Listeners
 * @property {(state: PlayerState) => void} onState
 * @property {(position: Position) => void} onPosition  Many times a second while there is sound.
 * @property {(clip: Clip) => void} onHeard  A unit is over: heard to its end, or skipped.
 */

/** @typedef {{clip: Clip, sounding: import("./sound.js").Sounding, at: number, until: number, silence: () => void}} Scheduled */

/** Plays one source from its beginning to its end; then another player is needed. */
export class Player {
  /** @type {Scheduled[]} Units on the clock, in order; heard ones are taken away. */
  #schedule = [];
  /** @type {Clip|null} */
  #last = null;
  #lastEnd = 0;
  #skippedSentence = -Infinity;
  #pastS = 0;
  #isPaused = false;
  #isDrained = false;
  #isOver = false;
  /** @type {PlayerState} */
  #state = "loading";
  #ticker = 0;
  /** @type {() => void} */
  #wake = () => {};
  /** Units that could not be heard, and those that were, in whole or in part. */
  failures = 0;
  successes = 0;

  /**
   * @param {import("./sound.js").Sound} sound
   * @param {Source} source
   * @param {Listeners} listeners
   */
  constructor(sound, source, listeners) {
    this.sound = sound;
    this.source = source;
    this.listeners = listeners;
    sound.onChange = () => this.#tell();
    this.#ticker = setInterval(() => this.#tick(), TICK_MS);
    this.#fill();
  }

  get state() {
    return this.#state;
  }

  /** Whether no unit will follow those that were scheduled. */
  get isDrained() {
    return this.#isDrained;
  }

  /** Seconds of audio that are over: heard, left out or skipped; by the server's measure. */
  get playedS() {
    const now = this.#current();
    return this.#pastS + (now ? now.share * now.clip.durationS : 0);
  }

  pause() {
    if (this.#isOver) return;
    this.#isPaused = true;
    this.sound.halt();
    this.#tell();
  }

  /** Go on; in a user's gesture this also lifts a browser's refusal. */
  async resume() {
    if (this.#isOver) return;
    await this.sound.run();
    this.#isPaused = false;
    this.#tell();
  }

  /** To the next sentence: the rest of this one is not heard. */
  skip() {
    const now = this.#schedule.find(({ until }) => until > this.sound.now);
    if (!now || this.#isOver) return;
    this.#skippedSentence = now.clip.sentence;
    this.#drop(({ clip }) => clip.sentence <= this.#skippedSentence);
    this.listeners.onHeard(now.clip);
  }

  /** Take back units that are no longer part of the answer. @param {(clip: Clip) => boolean} isWithdrawn */
  withdraw(isWithdrawn) {
    this.#skippedSentence = -Infinity;
    if (this.#schedule.some(({ clip }) => isWithdrawn(clip))) this.#drop(({ clip }) => isWithdrawn(clip));
  }

  /** Silence, at once and for good. */
  stop() {
    if (this.#isOver) return;
    this.#isOver = true;
    clearInterval(this.#ticker);
    for (const { silence } of this.#schedule) silence();
    this.#schedule = [];
    this.sound.onChange = () => {};
    this.sound.halt();
    this.#wake();
    this.#tell();
  }

  async #fill() {
    await this.sound.run();
    for (;;) {
      await this.#room();
      if (this.#isOver) return;
      const clip = await this.source.next();
      if (this.#isOver) return;
      if (!clip) break;
      await this.#add(clip);
    }
    this.#isDrained = true;
    this.#endIfAllIsOver();
  }

  /** @param {Clip} clip */
  async #add(clip) {
    if (clip.sentence <= this.#skippedSentence) {
      this.#pastS += clip.durationS;
      return;
    }
    const sounding = clip.bytes && await this.sound.decode(clip.bytes, clip.mediaType).catch(() => null);
    if (this.#isOver) return;
    if (sounding && sounding.duration > 0 && clip.sentence > this.#skippedSentence) {
      this.successes += 1;
      this.#start({ ...clip, bytes: null }, sounding);
    } else {
      this.failures += sounding ? 0 : 1;
      this.#pastS += clip.durationS;
    }
  }

  /** @param {Clip} clip @param {import("./sound.js").Sounding} sounding */
  #start(clip, sounding) {
    const pause = this.#last ? this.source.pause(clip, this.#last) : 0;
    const at = Math.max(this.sound.now + LEAD_S, this.#lastEnd + pause);
    const entry = { clip, sounding, at, until: at + sounding.duration, silence: () => {} };
    entry.silence = this.sound.start(sounding, at, () => this.#heard(entry));
    this.#schedule.push(entry);
    this.#last = clip;
    this.#lastEnd = entry.until;
    this.#tell();
  }

  /** @param {Scheduled} entry */
  #heard(entry) {
    this.#schedule = this.#schedule.filter((other) => other !== entry);
    this.#pastS += entry.clip.durationS;
    this.listeners.onHeard(entry.clip);
    this.#wake();
    this.#endIfAllIsOver();
    this.#tell();
  }

  /** Take units off the clock; those behind them move up. @param {(entry: Scheduled) => boolean} isWrong */
  #drop(isWrong) {
    const all = this.#schedule;
    for (const { silence } of all) silence();
    this.#schedule = [];
    this.#lastEnd = 0;
    this.#last = null;
    for (const entry of all) {
      if (isWrong(entry)) this.#pastS += entry.clip.durationS;
      else this.#start(entry.clip, entry.sounding);
    }
    this.#wake();
    this.#endIfAllIsOver();
    this.#tell();
  }

  /** @returns {Promise<void>} Until another unit may be decoded. */
  async #room() {
    while (this.#schedule.length >= AHEAD && !this.#isOver) {
      await new Promise((resolve) => { this.#wake = () => resolve(undefined); });
    }
  }

  #endIfAllIsOver() {
    if (this.#isDrained && !this.#schedule.length) this.stop();
  }

  /** @returns {Position|null} */
  #current() {
    const heardAt = this.sound.now - this.sound.latency;
    const index = this.#schedule.findLastIndex(({ at }) => at <= heardAt);
    if (index < 0) return null;
    const { clip, at, until } = this.#schedule[index];
    const share = Math.min(1, (heardAt - at) / (until - at));
    return { clip, following: this.#schedule[index + 1]?.clip ?? null, share };
  }

  #tick() {
    if (this.#state !== "playing") return;
    const position = this.#current();
    if (position) this.listeners.onPosition(position);
  }

  #tell() {
    const state = this.#nowState();
    if (state === this.#state) return;
    this.#state = state;
    this.listeners.onState(state);
  }

  /** @returns {PlayerState} */
  #nowState() {
    if (this.#isOver) return "ended";
    if (this.#isPaused) return "paused";
    if (!this.#schedule.length) return "loading";
    return this.sound.isRunning ? "playing" : "blocked";
  }
}
