/**
 * Where units come from: a turn that is being written, or an answer of any age.
 *
 * @module speech/sources
 */

import * as api from "../api.js";
import { ProblemError } from "../problems.js";
import { isFinal } from "../turn.js";
import { pauseBetween } from "./state.js";

/** @typedef {import("../turn.js").TurnState} TurnState */
/** @typedef {import("./player.js").Clip} Clip */

/** So many failures in a row are not about the units: the rest is not asked for. */
const MOST_FAILURES = 3;

/** A running turn: its units as they come, those before from the server where they are missing. */
export class LiveSource {
  #next;
  /** @type {() => void} */
  #wake = () => {};
  /** @type {string[]} */
  #characters = [];

  /**
   * @param {TurnState} turn
   * @param {number} first Index of the first unit that is wanted.
   * @param {(through: number) => void} taken Audio up to there need not be kept any more.
   */
  constructor(turn, first, taken) {
    this.turn = turn;
    this.#next = first;
    this.taken = taken;
  }

  /**
   * @param {TurnState} turn As it is now.
   * @returns {boolean} Whether the answer was begun anew: units of before were taken back.
   */
  update(turn) {
    const isAnew = turn.epoch !== this.turn.epoch || turn.speech.next < this.#next;
    this.turn = turn;
    this.#next = Math.min(this.#next, turn.speech.next);
    this.#wake();
    return isAnew;
  }

  /** Whether the answer still says this. @param {Clip} clip */
  holds(clip) {
    const unit = this.turn.speech.units.find(({ index }) => index === clip.index);
    return unit ? unit.failed !== "withdrawn" : clip.index < this.turn.speech.next;
  }

  /** @returns {Promise<Clip|null>} */
  async next() {
    while (this.#next >= this.turn.speech.next) {
      if (isFinal(this.turn)) return null;
      await new Promise((resolve) => { this.#wake = () => resolve(undefined); });
    }
    const index = this.#next;
    this.#next += 1;
    const unit = this.turn.speech.units.find((known) => known.index === index);
    if (!unit) return fetched(this.turn.turnId, index).then((clip) => clip ?? nothing(index, -1));
    const clip = { ...nothing(index, unit.sentence), durationS: unit.durationS, mediaType: unit.mediaType };
    if (unit.data) {
      clip.bytes = decodeBase64(unit.data);
      this.taken(index);
      return clip;
    }
    // A unit that nobody listened to was not made; now somebody does.
    if (unit.failed && unit.failed !== "not_requested") return clip;
    return { ...((await fetched(this.turn.turnId, index)) ?? clip), range: null };
  }

  /** @param {Clip} clip @param {Clip|null} before */
  pause(clip, before) {
    if (this.#characters.length !== this.turn.text.length) this.#characters = [...this.turn.text];
    return pauseBetween(before, clip, this.turn.speech.sentences, this.#characters);
  }
}

/** An answer that was written: the server has its audio, or makes it again. */
export class ReplaySource {
  #next = 0;
  #failures = 0;

  /** @param {TurnState} turn */
  constructor(turn) {
    this.turn = turn;
    this.characters = [...turn.text];
  }

  /** @returns {Promise<Clip|null>} */
  async next() {
    const clip = await fetched(this.turn.turnId, this.#next);
    this.#next += 1;
    this.#failures = clip && !clip.bytes ? this.#failures + 1 : 0;
    return this.#failures > MOST_FAILURES ? null : clip;
  }

  /** @param {Clip} clip @param {Clip|null} before */
  pause(clip, before) {
    return pauseBetween(before, clip, this.turn.speech.sentences, this.characters);
  }
}

/**
 * @param {string} turnId @param {number} index
 * @returns {Promise<Clip|null>} Null: there is no such unit.
 */
async function fetched(turnId, index) {
  try {
    const { sentence, range, durationS, mediaType, bytes } = await api.audio(turnId, index);
    return { index, sentence, range, durationS, mediaType, bytes };
  } catch (error) {
    return error instanceof ProblemError && error.status === 404 ? null : nothing(index, -1);
  }
}

/** @param {number} index @param {number} sentence @returns {Clip} */
function nothing(index, sentence) {
  return { index, sentence, range: null, durationS: 0, mediaType: "", bytes: null };
}

/** @param {string} data @returns {ArrayBuffer} */
function decodeBase64(data) {
  return Uint8Array.from(atob(data), (character) => character.charCodeAt(0)).buffer;
}
