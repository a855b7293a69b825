/**
 * What a turn says: its sentences, and the units of audio that speak them. Pure, a part of the
 * reducer in `turn.js`, which sees to it that no entry is applied twice.
 *
 * A unit speaks a sentence, a clause of one, or several short ones; it may be told of before its
 * sentence is complete. Offsets are code points into the message.
 *
 * @module speech/state
 */

/** @typedef {{index: number, text: string, kind: string, start: number, end: number}} Sentence */

/**
 * @typedef {object} Unit
 * @property {number} index
 * @property {number} sentence   Index of its (first) sentence.
 * @property {number} durationS
 * @property {string} mediaType
 * @property {string} data       Base64; empty where it is to be fetched, or was taken.
 * @property {string} failed     Why there is no audio; empty where there is.
 */

/**
 * @typedef {object} SpeechState
 * @property {Sentence[]} sentences
 * @property {Unit[]} units      In the order of their index; those of before a cursor may be missing.
 * @property {number} next       Index of the next unit to come.
 */

/** More audio than this does not wait in memory: it is fetched when its time comes. */
export const MOST_WAITING = 32;
/** A unit whose text is no longer part of the answer. */
export const WITHDRAWN = "withdrawn";

/** @returns {SpeechState} Nothing was said yet. */
export function silence() {
  return { sentences: [], units: [], next: 0 };
}

/** @param {SpeechState} speech @param {Record<string, any>} data @returns {SpeechState} */
export function addSentence(speech, { index, text, kind, start, end }) {
  if (speech.sentences.some((known) => known.index === index)) return speech;
  return { ...speech, sentences: [...speech.sentences, { index, text, kind, start, end }] };
}

/**
 * @param {SpeechState} speech
 * @param {Record<string, any>} data
 * @param {boolean} keepsAudio Whether somebody in this tab is going to hear it.
 * @returns {SpeechState}
 */
export function addChunk(speech, data, keepsAudio) {
  const waiting = speech.units.filter((unit) => unit.data).length;
  return addUnit(speech, {
    index: data.index,
    sentence: data.sentence,
    durationS: data.duration_s ?? 0,
    mediaType: data.media_type ?? "",
    data: keepsAudio && waiting < MOST_WAITING ? data.data ?? "" : "",
    failed: "",
  });
}

/** @param {SpeechState} speech @param {Record<string, any>} data @returns {SpeechState} */
export function addFailure(speech, { index, sentence, code }) {
  return addUnit(speech, { index, sentence, durationS: 0, mediaType: "", data: "", failed: code || "failed" });
}

/** @param {SpeechState} speech @param {Unit} unit @returns {SpeechState} */
function addUnit(speech, unit) {
  if (speech.units.some((known) => known.index === unit.index)) return speech;
  return { ...speech, units: [...speech.units, unit], next: Math.max(speech.next, unit.index + 1) };
}

/**
 * The audio of a unit is in the player's hands, or nobody's any more.
 *
 * @param {SpeechState} speech @param {number} through Index of the last such unit.
 * @returns {SpeechState}
 */
export function takeAudio(speech, through) {
  if (!speech.units.some((unit) => unit.data && unit.index <= through)) return speech;
  const units = speech.units.map((unit) => (unit.data && unit.index <= through ? { ...unit, data: "" } : unit));
  return { ...speech, units };
}

/**
 * A reset: what speaks text that both versions begin with stays, whatever the indexes say, so that
 * nothing is heard twice; the rest is withdrawn.
 *
 * @param {SpeechState} speech
 * @param {{sentence?: number, speech?: number}} next Indexes of what comes next.
 * @param {string} before @param {string} after The texts.
 * @returns {SpeechState}
 */
export function resetSpeech(speech, next, before, after) {
  const common = commonLength(before, after);
  const sentences = speech.sentences.filter((sentence) => sentence.end <= common);
  const isKnown = (/** @type {Sentence[]} */ among, /** @type {number} */ index) =>
    among.some((sentence) => sentence.index === index);
  const firstNew = next.speech ?? 0;
  /** @type {Unit[]} */
  const units = [];
  for (const unit of speech.units) {
    const isUnfinished = !isKnown(speech.sentences, unit.sentence) && after.startsWith(before);
    if (isKnown(sentences, unit.sentence) || isUnfinished) units.push(unit);
    else if (unit.index < firstNew) units.push({ ...unit, data: "", failed: WITHDRAWN });
  }
  return { sentences, units, next: Math.max(firstNew, (units.at(-1)?.index ?? -1) + 1) };
}

/** @param {string} one @param {string} other @returns {number} Code points that both begin with. */
function commonLength(one, other) {
  let at = 0;
  while (at < one.length && one[at] === other[at]) at += 1;
  return [...one.slice(0, at)].length;
}

/**
 * The text that is heard in one unit, in pieces that can be shown one after the other. Code, tables
 * and the like between its sentences are not among them.
 *
 * @param {{sentence: number, range: [number, number]|null}} unit
 * @param {{sentence: number, range: [number, number]|null}|null} following The unit after it, if there is one (yet).
 * @param {{sentences: Sentence[], length: number, isLast: boolean}} answer `length` of its text so
 *   far in code points; `isLast`: no unit will follow.
 * @returns {{start: number, end: number}[]}
 */
export function piecesOf(unit, following, { sentences, length, isLast }) {
  const open = isLast ? Infinity : unit.sentence + 1;
  const until = Math.max(unit.sentence + 1, following?.sentence ?? open);
  const spoken = sentences.filter(({ index, kind }) => kind === "text" && index >= unit.sentence && index < until);
  if (sentences.some(({ index }) => index === unit.sentence)) return spoken;
  if (unit.range) {
    const [start, end] = unit.range;
    return [{ start, end: until > unit.sentence + 1 && following?.range ? following.range[0] : end }];
  }
  const before = sentences.findLast(({ index }) => index < unit.sentence);
  return [{ start: before?.end ?? 0, end: length }];
}

/**
 * Which of a unit's pieces is being heard, if its time is shared as its text is.
 *
 * @param {{start: number, end: number}[]} pieces
 * @param {number} share 0 to 1 of the unit's time.
 * @returns {{start: number, end: number}|null} Null where there are no pieces.
 */
export function pieceAt(pieces, share) {
  const total = pieces.reduce((sum, { start, end }) => sum + end - start, 0);
  let left = share * total;
  for (const piece of pieces) {
    left -= piece.end - piece.start;
    if (left < 0) return piece;
  }
  return pieces.at(-1) ?? null;
}

const AFTER_SENTENCE_S = 0.2;
const AFTER_BLOCK_S = 0.35;

/**
 * @param {{sentence: number, range: [number, number]|null}|null} before
 * @param {{sentence: number, range: [number, number]|null}} unit
 * @param {Sentence[]} sentences
 * @param {string[]} characters The text, by code point.
 * @returns {number} Seconds of silence that belong between two units.
 */
export function pauseBetween(before, unit, sentences, characters) {
  if (!before || before.sentence === unit.sentence) return 0;
  const start = unit.range?.[0] ?? sentences.findLast(({ index }) => index < unit.sentence)?.end;
  if (start === undefined) return AFTER_SENTENCE_S;
  const isBlock = /\n\s*$/.test(characters.slice(Math.max(0, start - 40), start).join(""))
    || /^\s*\n/.test(characters.slice(start, start + 40).join(""));
  return isBlock ? AFTER_BLOCK_S : AFTER_SENTENCE_S;
}
