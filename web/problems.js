/**
 * What went wrong, in one sentence that says what to do.
 *
 * @module problems
 */

/** An answer that is not a success. */
export class ProblemError extends Error {
  /**
   * @param {number} status
   * @param {Record<string, any>} body `application/problem+json`, or empty.
   * @param {number|null} retryAfterS
   */
  constructor(status, body, retryAfterS) {
    super(body.detail || body.title || `HTTP ${status}`);
    this.status = status;
    this.code = String(body.code ?? "");
    this.body = body;
    this.retryAfterS = retryAfterS;
  }
}

/** No answer at all: offline, refused, cut, or too slow. */
export class NetworkError extends Error {}

/** @type {Record<string, string>} */
const BY_CODE = {
  message_blocked: "This message breaks the rules of this chat, so it was not sent. Change it and send it again.",
  moderation_unavailable: "Messages cannot be checked right now. Try again in a moment.",
  turn_running:
    "An answer is still being written in this conversation. Your message is back in the box: send it when the answer has ended.",
};

/** @type {Record<number, string>} */
const BY_STATUS = {
  401: "Your sign-in has ended. Sign in again, then repeat what you did.",
  403: "You are not allowed to do that. Reload the page and try again.",
  404: "This is no longer there. It may have been deleted in another tab.",
  409: "Something else changed this in the meantime. Reload the page and try again.",
  413: "Your message is too long. Shorten it and send it again.",
  415: "The server did not understand the page. Reload it and try again.",
  422: "The server did not accept this message. Change it and send it again.",
  429: "You have sent a lot in a short time. Wait a little, then try again.",
  500: "Something broke on the server. Try again; if it happens again, tell the operator.",
  503: "The service is not available right now. Try again in a moment.",
};

/**
 * @param {unknown} error
 * @returns {string} One sentence, sometimes two: what happened and what to do.
 */
export function sentence(error) {
  if (error instanceof NetworkError) {
    return navigator.onLine
      ? "The server cannot be reached. Check the connection and try again."
      : "You are offline. Connect to the network and try again.";
  }
  if (!(error instanceof ProblemError)) return "The page made a mistake. Reload it and try again.";
  return BY_CODE[error.code] ?? refinement(error) ?? BY_STATUS[error.status] ?? "That did not work. Try again.";
}

/**
 * Validation knows best what is wrong: its sentence is shown as it is.
 *
 * @param {ProblemError} error
 * @returns {string|null}
 */
function refinement(error) {
  if (error.status !== 422 && error.status !== 400) return null;
  const first = error.body.errors?.[0];
  const said = error.body.detail || (first && `${first.field} ${first.message}`);
  return said ? `${String(said).replace(/[.\s]*$/, "")}. Change it and try again.` : null;
}

/** @type {Record<string, string>} */
const FAILURES = {
  content_blocked: "The answer ends here: what came next breaks the rules of this chat. Ask for something else.",
  moderation_unavailable: "The answer ends here: what came next could not be checked. Try again in a moment.",
};

/**
 * @param {import("./turn.js").TurnState} turn An ended turn.
 * @returns {string} What to say below its answer; empty when all is well.
 */
export function ending(turn) {
  switch (turn.status) {
    case "failed":
      if (turn.error && FAILURES[turn.error.code]) return FAILURES[turn.error.code];
      return turn.error?.retryable === false
        ? `The answer could not be finished. ${turn.error.detail}`.trim()
        : "The answer could not be finished.";
    case "interrupted":
      return "The server lost this answer. What had arrived is kept.";
    case "cancelled":
      if (turn.cancelledBy === "operator") return "An operator stopped this answer.";
      if (turn.cancelledBy === "abandoned") return "This answer was stopped because nobody was reading it.";
      return "You stopped this answer.";
    default:
      return turn.finishReason === "length"
        ? "The answer reached its length limit. Ask it to go on for the rest."
        : "";
  }
}
