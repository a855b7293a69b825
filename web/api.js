/**
 * Calls to the server: JSON in, JSON out, with a sign-in that is renewed where it has to be.
 *
 * @module api
 */

import { renew } from "./account/renewal.js";
import { json, problem, send } from "./http.js";
import { NetworkError } from "./problems.js";

/** To the answer's headers only; the off arm answers when the whole text is there. */
const START_TIMEOUT_MS = 60_000;
/** A session that is over is not renewed by anything. */
const ENDED = "session_ended";

/** @type {() => void} */
let signedOut = () => {};

/** @param {() => void} listener Told of each call that is refused because nobody is signed in. */
export function onSignedOut(listener) {
  signedOut = listener;
}

/**
 * An access token lives 15 minutes: a 401 is answered once with a new one, for all callers at once.
 *
 * @param {string} method
 * @param {string} path
 * @param {import("./http.js").Options} [options]
 * @returns {Promise<Response>} A success.
 * @throws {NetworkError|import("./problems.js").ProblemError}
 */
export async function call(method, path, options = {}) {
  const sentAt = Date.now();
  let answer = await send(method, path, options);
  if (answer.status === 401) {
    const refusal = await problem(answer);
    if (refusal.code === ENDED || !(await renew(sentAt))) {
      signedOut();
      throw refusal;
    }
    answer = await send(method, path, options);
  }
  if (!answer.ok) throw await problem(answer);
  return answer;
}

/** @param {string} path @param {Record<string, string|number|null|undefined>} [query] */
export async function get(path, query = {}) {
  const known = Object.entries(query).filter(([, value]) => value !== null && value !== undefined);
  const search = new URLSearchParams(known.map(([name, value]) => [name, String(value)])).toString();
  return json(await call("GET", search ? `${path}?${search}` : path));
}

/** @param {string} id As a part of a path. */
export const part = (id) => encodeURIComponent(id);

/**
 * Start a turn. Repeating it with the same key and body attaches to the same turn, so every
 * failure may be followed by the same call again.
 *
 * @param {Record<string, unknown>} body
 * @param {string} key
 * @returns {Promise<{turnId: string, conversationId: string, isStreaming: boolean, state: Promise<any>}>}
 *   `state` is the turn's state: at once in the on arm, at the end in the off arm.
 * @throws {NetworkError|ProblemError}
 */
export async function startTurn(body, key) {
  const answer = await call("POST", "/api/v1/turns", {
    body,
    headers: { "Idempotency-Key": key },
    timeoutMs: START_TIMEOUT_MS,
  });
  const isStreaming = answer.headers.get("X-Streaming") !== "off";
  const state = json(answer);
  const turnId = answer.headers.get("X-Turn-ID") ?? (await state).turn_id;
  const conversationId = answer.headers.get("X-Conversation-ID") ?? (await state).conversation_id;
  return { turnId, conversationId, isStreaming, state };
}

/** @param {string} turnId */
export const turn = (turnId) => get(`/api/v1/turns/${part(turnId)}`);

/** @param {string} turnId @param {string} seen */
export async function cancelTurn(turnId, seen) {
  const body = seen ? { seen } : {};
  return json(await call("POST", `/api/v1/turns/${part(turnId)}/cancel`, { body }));
}

/**
 * @param {string} turnId
 * @param {string} cursor Event id, or empty for the start.
 * @param {boolean} [hasAudio] Whether audio is to come along; without, events only name it.
 */
export function eventsUrl(turnId, cursor, hasAudio = true) {
  const query = new URLSearchParams({ ...(cursor && { last_event_id: cursor }), ...(!hasAudio && { audio: "url" }) });
  return `/api/v1/turns/${part(turnId)}/events${query.size ? `?${query}` : ""}`;
}

/**
 * A unit of an answer's speech; it is made (again) where the server does not have it.
 *
 * @param {string} turnId @param {number} index
 * @returns {Promise<{sentence: number, range: [number, number]|null, durationS: number, mediaType: string, bytes: ArrayBuffer}>}
 *   `range` is where its first sentence stands in the text, in code points.
 * @throws {NetworkError|ProblemError} 404: the answer has no more; 410: it cannot be made.
 */
export async function audio(turnId, index) {
  const answer = await call("GET", `/api/v1/speech/${part(turnId)}.${index}`, {
    headers: { Accept: "audio/*" },
    cache: "default",
  });
  const range = /^(\d+)-(\d+)$/.exec(answer.headers.get("X-Speech-Range") ?? "");
  return {
    sentence: Number(answer.headers.get("X-Speech-Sentence") ?? index),
    range: range && [Number(range[1]), Number(range[2])],
    durationS: Number(answer.headers.get("X-Speech-Duration") ?? 0),
    mediaType: answer.headers.get("Content-Type") ?? "",
    bytes: await answer.arrayBuffer().catch((error) => { throw new NetworkError(String(error)); }),
  };
}

/** @returns {Promise<{engine: string, voices: {name: string, language: string}[]}>} */
export const voices = () => get("/api/v1/speech/voices");

/** @param {string} turnId @param {number} playedS @param {number} bufferedS */
export async function reportPlayback(turnId, playedS, bufferedS) {
  await call("POST", `/api/v1/turns/${part(turnId)}/playback`, {
    body: { played_s: playedS, buffered_s: bufferedS },
  });
}

/** @param {string|null} cursor @param {number} limit */
export const conversations = (cursor, limit) => get("/api/v1/conversations", { cursor, limit });

/** @param {string} id */
export const conversation = (id) => get(`/api/v1/conversations/${part(id)}`);

/** @param {string} id @param {string} title */
export async function renameConversation(id, title) {
  return json(await call("PATCH", `/api/v1/conversations/${part(id)}`, { body: { title } }));
}

/** @param {string} id */
export async function deleteConversation(id) {
  await call("DELETE", `/api/v1/conversations/${part(id)}`);
}

/** @param {string} id @param {string|null} before @param {number} limit */
export const messages = (id, before, limit) =>
  get(`/api/v1/conversations/${part(id)}/messages`, { before, limit });

/** @param {string} messageId @param {"up"|"down"} rating */
export async function rate(messageId, rating) {
  await call("PUT", `/api/v1/messages/${part(messageId)}/feedback`, { body: { rating } });
}

/** @param {string} id */
export const chatbot = (id) => get(`/api/v1/chatbots/${part(id)}`);
