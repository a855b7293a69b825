/**
 * Stored messages, as the exchanges that the page shows.
 *
 * @module exchanges
 */

import { newTurn } from "./turn.js";

/** @typedef {import("./view/messages/pane.js").ExchangeView} ExchangeView */

/**
 * Leave out answers whose question is on the page before: they come with it.
 *
 * @param {{messages: any[], next: string|null}} page
 * @returns {{messages: any[], next: string|null}}
 */
export function withoutOrphans({ messages, next }) {
  const first = messages.findIndex((message) => message.role === "user");
  if (next === null || first <= 0) return { messages, next };
  return { messages: messages.slice(first), next: String(messages[first].seq) };
}

/**
 * Consecutive answers are versions of one: all but the first came from «try again».
 *
 * @param {any[]} messages Oldest first.
 * @param {(text: string) => ExchangeView} make
 * @returns {ExchangeView[]}
 */
export function toExchanges(messages, make) {
  /** @type {ExchangeView[]} */
  const exchanges = [];
  for (const message of messages) {
    const isQuestion = message.role === "user";
    if (isQuestion || !exchanges.length) exchanges.push(make(isQuestion ? message.text : ""));
    const exchange = exchanges[exchanges.length - 1];
    exchange.turnId = message.turn_id;
    if (isQuestion || message.status === "running") continue;
    exchange.addAnswer().show(fromMessage(message), { rating: message.feedback?.rating });
  }
  return exchanges;
}

/** @param {any} message @returns {import("./turn.js").TurnState} A stored answer, as its turn. */
function fromMessage(message) {
  return newTurn({
    turnId: message.turn_id,
    messageId: message.message_id,
    status: message.status,
    text: message.text,
    model: message.model ?? "",
    usage: message.usage ?? null,
  });
}
