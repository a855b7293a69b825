/**
 * What tabs tell each other, and what one tab remembers over a reload.
 *
 * @module tabs
 */

/**
 * @typedef {{type: "turn.begun", conversationId: string, turnId: string}
 *   | {type: "conversations.changed", conversationId: string}
 *   | {type: "conversation.deleted", conversationId: string}
 *   | {type: "account.changed"}
 *   | {type: "account.left"}
 *   | {type: "speech.begun"}} TabNews
 */

const channel = "BroadcastChannel" in window ? new BroadcastChannel("chatstream") : null;

/** @param {TabNews} news */
export function tell(news) {
  channel?.postMessage(news);
}

/** @param {(news: TabNews) => void} hear */
export function listen(hear) {
  channel?.addEventListener("message", (message) => hear(message.data));
}

/**
 * A start that the server has not confirmed: sent again, with its key, after a reload.
 *
 * @typedef {{key: string, body: Record<string, any>}} PendingStart
 */

const START = "chatstream.start";

/** @param {PendingStart} start */
export function keepStart(start) {
  put(START, JSON.stringify(start));
}

export function forgetStart() {
  put(START, "");
}

/** @returns {PendingStart|null} */
export function pendingStart() {
  try {
    return JSON.parse(sessionStorage.getItem(START) || "null");
  } catch {
    return null;
  }
}

const DRAFT = "chatstream.draft.";

/** @param {string} conversationId @param {string} text */
export function keepDraft(conversationId, text) {
  put(DRAFT + conversationId, text);
}

/** @param {string} conversationId */
export function draft(conversationId) {
  try {
    return sessionStorage.getItem(DRAFT + conversationId) ?? "";
  } catch {
    return "";
  }
}

/** Whoever is next at this machine does not see what was not sent. */
export function forgetDrafts() {
  try {
    for (const name of Object.keys(sessionStorage)) {
      if (name.startsWith(DRAFT)) sessionStorage.removeItem(name);
    }
  } catch {
    // Where storage is forbidden, there are none.
  }
}

const HEARD = "chatstream.heard";

/** @param {string} turnId @param {number} count Units of its speech that were heard, or skipped. */
export function keepHeard(turnId, count) {
  put(HEARD, JSON.stringify({ turnId, count }));
}

/** @param {string} turnId @returns {number} 0 for a turn that was not the last to be heard. */
export function heardUnits(turnId) {
  try {
    const heard = JSON.parse(sessionStorage.getItem(HEARD) || "null");
    return heard?.turnId === turnId ? heard.count : 0;
  } catch {
    return 0;
  }
}

/**
 * Storage may be forbidden or full: then a reload forgets, and nothing else suffers.
 *
 * @param {string} name @param {string} value
 */
function put(name, value) {
  try {
    if (value) sessionStorage.setItem(name, value);
    else sessionStorage.removeItem(name);
  } catch {
    // See above.
  }
}
