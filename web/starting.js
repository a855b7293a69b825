/**
 * Starting a turn so that it starts once, whatever the network does.
 *
 * @module starting
 */

import { startTurn } from "./api.js";
import { NetworkError } from "./problems.js";

/** A start that finds no server is repeated by itself this often, with the same key. */
const TRIES = 4;
const FIRST_WAIT_MS = 1000;

/** @returns {string} A new idempotency key; `crypto.randomUUID` is missing on plain http. */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Send a start until somebody answers. The key makes the repeats one turn.
 *
 * @param {import("./tabs.js").PendingStart} start
 * @param {AbortSignal} givenUp No further try once it is set.
 * @param {() => void} waiting Told before each wait for the network.
 * @throws {NetworkError|import("./problems.js").ProblemError} No answer after all tries, or a refusal.
 */
export async function postUntilAnswered(start, givenUp, waiting) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await startTurn(start.body, start.key);
    } catch (error) {
      if (!(error instanceof NetworkError) || tries >= TRIES || givenUp.aborted) throw error;
      waiting();
      await pause(FIRST_WAIT_MS * 2 ** (tries - 1) * (0.5 + Math.random()), givenUp);
      if (givenUp.aborted) throw error;
    }
  }
}

/**
 * @param {number} ms
 * @param {AbortSignal} givenUp
 * @returns {Promise<void>} The soonest of: the time is over, back online, given up.
 */
function pause(ms, givenUp) {
  return new Promise((resolve) => {
    const over = new AbortController();
    const done = () => {
      over.abort();
      clearTimeout(timer);
      resolve();
    };
    const timer = setTimeout(done, ms);
    window.addEventListener("online", done, { signal: over.signal });
    givenUp.addEventListener("abort", done, { signal: over.signal });
  });
}
