/**
 * One request to the server, and how its failures are told: every one is one of two errors.
 *
 * @module http
 */

import { NetworkError, ProblemError } from "./problems.js";

const CALL_TIMEOUT_MS = 15_000;

/** @typedef {{body?: unknown, headers?: Record<string, string>, timeoutMs?: number, cache?: RequestCache}} Options */

/** @type {Promise<unknown>|null} */
let first = null;

/**
 * The first call goes alone: its answer makes a stranger a guest, and two such answers at once
 * would make two guests, of whom the browser forgets one with all that was written meanwhile.
 *
 * @param {string} method
 * @param {string} path
 * @param {Options} [options]
 * @returns {Promise<Response>} Whatever the server says, refusals too.
 * @throws {NetworkError} No answer.
 */
export async function send(method, path, options = {}) {
  if (first) {
    await first.catch(() => {});
    return request(method, path, options);
  }
  const sent = request(method, path, options);
  first = sent;
  sent.catch(() => { first = null; });
  return sent;
}

/**
 * @param {string} method
 * @param {string} path
 * @param {Options} options
 * @returns {Promise<Response>}
 * @throws {NetworkError} No answer.
 */
async function request(method, path, options) {
  const { body, headers = {}, timeoutMs = CALL_TIMEOUT_MS, cache = "no-store" } = options;
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), timeoutMs);
  try {
    return await fetch(path, {
      method,
      headers: {
        Accept: "application/json",
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
        ...headers,
      },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: controller.signal,
      cache,
    });
  } catch (error) {
    throw new NetworkError(String(error));
  } finally {
    clearTimeout(timer);
  }
}

/** @param {Response} answer A refusal. @returns {Promise<ProblemError>} */
export async function problem(answer) {
  const isProblem = (answer.headers.get("Content-Type") ?? "").includes("json");
  const body = isProblem ? await answer.json().catch(() => ({})) : {};
  return new ProblemError(answer.status, body ?? {}, retryAfter(answer));
}

/** @param {Response} answer @returns {number|null} Seconds. */
function retryAfter(answer) {
  const seconds = Number.parseInt(answer.headers.get("Retry-After") ?? "", 10);
  return Number.isFinite(seconds) && seconds >= 0 ? seconds : null;
}

/**
 * @param {Response} answer
 * @returns {Promise<any>} null where there is nothing.
 * @throws {NetworkError} The body was cut.
 */
export async function json(answer) {
  if (answer.status === 204) return null;
  try {
    return await answer.json();
  } catch (error) {
    throw new NetworkError(String(error));
  }
}
