/**
 * A turn as the page knows it: the one place where events become state.
 *
 * Pure: no network, no document, no clock. The same events in any number of connections, with any
 * repeats, give the same state; replay and live are not told apart.
 *
 * @module turn
 */

import { addChunk, addFailure, addSentence, resetSpeech, silence, takeAudio } from "./speech/state.js";

/** @typedef {"starting"|"running"|"completed"|"failed"|"cancelled"|"interrupted"} Status */

/**
 * @typedef {object} TurnState
 * @property {string} turnId           Empty until the server has named it.
 * @property {string} conversationId
 * @property {string} messageId        The answer's message; empty until known.
 * @property {Status} status
 * @property {string} text             All text so far; authoritative once the status is final.
 * @property {boolean} isTextDone
 * @property {number} epoch
 * @property {number} seq              Seq of the last entry applied; 0 before the first.
 * @property {string} cursor           Id of that entry, for re-attaching; empty before the first.
 * @property {{after: number, seq: number}|null} gap  An entry that came too early, and was refused.
 * @property {number|null} stoppedAt   Length of the text when the user asked to stop.
 * @property {boolean} isStreaming     False in the off arm: the text comes whole, at the end.
 * @property {string} model
 * @property {Record<string, any>|null} usage
 * @property {Record<string, any>|null} timings
 * @property {string} finishReason
 * @property {{code: string, detail: string, retryable: boolean}|null} error
 * @property {string} cancelledBy
 * @property {boolean} isStored        False where the history could not be written (yet).
 * @property {string} sessionEnded     Why the sign-in ended, if it did.
 * @property {boolean} keepsAudio      This tab asked for speech: audio that comes along is kept.
 * @property {import("./speech/state.js").SpeechState} speech
 */

/** @typedef {{type: string, id?: string, data: Record<string, any>}} TurnEvent */

/** Names that carry a place in the log. An EventSource only delivers names that are asked for. */
export const ENTRY_NAMES = Object.freeze([
  "turn.started", "text.delta", "text.done", "turn.reset",
  "sentence.completed", "speech.chunk", "speech.failed",
  "turn.completed", "turn.failed", "turn.cancelled", "turn.interrupted",
]);

/** Names without an id: about the connection, not the log. */
export const SIGNAL_NAMES = Object.freeze(["heartbeat", "bye", "session.ended"]);

const FINAL = new Set(["completed", "failed", "cancelled", "interrupted"]);

/**
 * @param {Partial<TurnState>} [known]
 * @returns {TurnState} A turn of which nothing was read yet.
 */
export function newTurn(known = {}) {
  return {
    turnId: "", conversationId: "", messageId: "", status: "starting", text: "", isTextDone: false,
    epoch: 1, seq: 0, cursor: "", gap: null, stoppedAt: null, isStreaming: true, model: "",
    usage: null, timings: null, finishReason: "", error: null, cancelledBy: "", isStored: true,
    sessionEnded: "", keepsAudio: false, speech: silence(), ...known,
  };
}

/** @param {Pick<TurnState, "status">} turn */
export function isFinal(turn) {
  return FINAL.has(turn.status);
}

/** Whether text may still come: what only speaks counts as written. @param {TurnState} turn */
export function isWriting(turn) {
  return !isFinal(turn) && !turn.isTextDone;
}

/**
 * The text to show: after a stop was asked for nothing more appears, because the stored text ends
 * where the reader saw it end.
 *
 * @param {TurnState} turn
 */
export function shownText(turn) {
  return turn.stoppedAt === null ? turn.text : turn.text.slice(0, turn.stoppedAt);
}

/**
 * @param {string} turnId
 * @param {string} id `<turn_id>.<epoch>-<seq>`
 * @returns {{epoch: number, seq: number}|null} null for another turn's id, or none of ours.
 */
export function parseId(turnId, id) {
  const dot = id.lastIndexOf(".");
  const match = /^([1-9]\d*)-([1-9]\d*)$/.exec(id.slice(dot + 1));
  if (!match || id.slice(0, dot) !== turnId) return null;
  return { epoch: Number(match[1]), seq: Number(match[2]) };
}

/**
 * Apply one event. Never twice: an entry at or before the cursor changes nothing.
 *
 * An entry that skips ahead is refused once and noted in `gap`; the caller re-attaches from
 * `cursor`. Met again at the same place it is believed: the log holds entries we do not know.
 *
 * @param {TurnState} turn
 * @param {TurnEvent} event An entry of the log, a signal, `turn.state` (the answer of GET), or
 *   what the page did: `stop.asked`, `stop.refused`, `speech.taken`,
 *   `speech.declined`, `turn.left`.
 * @returns {TurnState} A new state, or the same object when nothing changed.
 */
export function reduce(turn, event) {
  // The player may still be busy with what it was given when the turn has long ended.
  if (isFinal(turn) && event.type !== "speech.taken") return turn;
  const local = LOCAL[event.type];
  if (local) return local(turn, event.data);
  const place = event.id ? parseId(turn.turnId, event.id) : null;
  if (!place || place.epoch < turn.epoch) return turn;
  return applyEntry(turn, event, place);
}

/**
 * @param {TurnState} turn
 * @param {TurnEvent} event
 * @param {{epoch: number, seq: number}} place
 * @returns {TurnState}
 */
function applyEntry(turn, event, place) {
  const at = { ...place, cursor: event.id ?? "", gap: null };
  // A reset is the server's word on what the reader should show: it may also step back.
  if (event.type === "turn.reset") return { ...turn, ...reset(turn, event.data), ...at };
  if (place.seq <= turn.seq) return turn;
  const end = TERMINAL[event.type];
  if (end) return { ...turn, ...finish(event.data), ...end(event.data), ...at };
  const isGap = place.seq > turn.seq + 1;
  if (isGap && !(turn.gap?.after === turn.seq && turn.gap.seq === place.seq)) {
    return noteGap(turn, place.seq);
  }
  const change = ENTRY[event.type];
  return { ...turn, ...(change ? change(turn, event.data) : {}), ...at };
}

/**
 * Only the first entry after the gap is noted: those behind it in the same connection say nothing.
 *
 * @param {TurnState} turn
 * @param {number} seq
 * @returns {TurnState}
 */
function noteGap(turn, seq) {
  if (turn.gap?.after === turn.seq && turn.gap.seq <= seq) return turn;
  return { ...turn, gap: { after: turn.seq, seq } };
}

/** @typedef {(turn: TurnState, data: Record<string, any>) => Partial<TurnState>} Change */

/** @type {Record<string, Change>} */
const ENTRY = {
  "turn.started": (turn, data) => ({
    status: "running",
    conversationId: data.conversation_id,
    messageId: data.message_id,
    model: data.model ?? "",
    isStreaming: data.streaming ?? turn.isStreaming,
  }),
  "text.delta": (turn, data) => ({ status: "running", text: turn.text + data.text }),
  "text.done": (turn, data) => ({
    status: "running",
    text: data.text,
    isTextDone: true,
    messageId: data.message_id ?? turn.messageId,
    isStored: data.stored ?? true,
  }),
  "sentence.completed": (turn, data) => ({ speech: addSentence(turn.speech, data) }),
  "speech.chunk": (turn, data) => ({ speech: addChunk(turn.speech, data, turn.keepsAudio) }),
  "speech.failed": (turn, data) => ({ speech: addFailure(turn.speech, data) }),
};

/** @type {Change} */
const reset = (turn, data) => ({
  status: "running",
  text: data.text,
  isTextDone: false,
  speech: resetSpeech(turn.speech, data, turn.text, data.text),
  stoppedAt: turn.stoppedAt === null ? null : Math.min(turn.stoppedAt, data.text.length),
});

/** @type {Record<string, (data: Record<string, any>) => Partial<TurnState>>} */
const TERMINAL = {
  "turn.completed": (data) => ({ status: "completed", finishReason: data.finish_reason ?? "stop" }),
  "turn.failed": (data) => ({ status: "failed", error: failure(data) }),
  "turn.cancelled": (data) => ({ status: "cancelled", cancelledBy: data.by ?? "user" }),
  "turn.interrupted": (data) => ({
    status: "interrupted",
    error: { code: data.reason ?? "interrupted", detail: "", retryable: true },
  }),
};

/**
 * What every terminal event says. Its text is authoritative.
 *
 * @param {Record<string, any>} data
 * @returns {Partial<TurnState>}
 */
function finish(data) {
  return {
    text: data.text ?? "",
    isTextDone: true,
    messageId: data.message_id ?? "",
    isStored: data.stored ?? true,
    usage: data.usage ?? null,
    timings: data.timings ?? null,
    stoppedAt: null,
  };
}

/** @param {Record<string, any>} data */
function failure(data) {
  const { code = "turn_failed", detail = "", retryable = true } = data;
  return { code, detail, retryable };
}

/**
 * The answer of GET (or of a start in the off arm): final, it stands for the terminal event;
 * running, it only fills in names: its text is a checkpoint, which the log's replay supersedes.
 *
 * @param {TurnState} turn
 * @param {Record<string, any>} data
 * @returns {TurnState}
 */
function applySnapshot(turn, data) {
  const named = {
    ...turn,
    turnId: data.turn_id ?? turn.turnId,
    conversationId: data.conversation_id ?? turn.conversationId,
    messageId: data.message_id ?? turn.messageId,
    isStreaming: data.streaming ?? turn.isStreaming,
    model: data.model ?? turn.model,
  };
  if (!FINAL.has(data.status)) {
    return { ...named, status: turn.status === "starting" ? "running" : turn.status };
  }
  const end = TERMINAL[`turn.${data.status}`](data);
  return {
    ...named,
    ...finish({ ...data, message_id: named.messageId }),
    ...end,
    ...(data.error && end.error ? { error: failure({ ...end.error, ...data.error }) } : {}),
    gap: null,
  };
}

/**
 * What has no place in the log.
 *
 * @type {Record<string, (turn: TurnState, data: Record<string, any>) => TurnState>}
 */
const LOCAL = {
  "turn.state": applySnapshot,
  "stop.asked": (turn) => ({ ...turn, stoppedAt: turn.stoppedAt ?? turn.text.length }),
  "stop.refused": (turn) => ({ ...turn, stoppedAt: null }),
  "speech.taken": (turn, data) => ({ ...turn, speech: takeAudio(turn.speech, data.through) }),
  "speech.declined": (turn) => ({ ...turn, keepsAudio: false, speech: takeAudio(turn.speech, Infinity) }),
  // The next message cuts the speech of a whole text; its terminal event is not waited for.
  "turn.left": (turn) => (turn.isTextDone ? { ...turn, status: "completed", finishReason: "stop", stoppedAt: null } : turn),
  "session.ended": (turn, data) => ({ ...turn, sessionEnded: data.reason ?? "ended" }),
  heartbeat: (turn) => turn,
  bye: (turn) => turn,
};
