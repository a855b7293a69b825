/**
 * What becomes of a message that the server did not take.
 *
 * @module not_started
 */

import { ProblemError, sentence } from "./problems.js";
import { forgetStart } from "./tabs.js";

/** Statuses after which the same message would be refused again. */
const OF_THE_MESSAGE = new Set([400, 409, 413, 422]);

/**
 * @typedef {object} Refused
 * @property {import("./tabs.js").PendingStart} start
 * @property {import("./view/messages/pane.js").ExchangeView} exchange
 * @property {import("./view/messages/answer.js").AnswerView} answer
 */

/**
 * Show why, and leave the message where its writer can go on with it: in the box where it has to be
 * changed, or sent later; else where it stands, to be sent again.
 *
 * @param {unknown} error
 * @param {Refused} refused
 * @param {import("./conversation.js").Surroundings} around
 * @param {() => void} again Sends it as it is, with its key.
 */
export function showNotStarted(error, refused, around, again) {
  const { status, retryAfterS } = error instanceof ProblemError ? error : { status: 0, retryAfterS: null };
  if (status === 429) {
    giveBack(refused, around);
    around.holdBack(/** @type {ProblemError} */ (error));
  } else if (status === 401) {
    giveBack(refused, around); // who shows that the sign-in has ended also says what to do
  } else if (OF_THE_MESSAGE.has(status)) {
    giveBack(refused, around);
    around.notify(sentence(error), 12);
  } else {
    const repeat = () => {
      refused.exchange.removeAnswer(refused.answer);
      again();
    };
    const edit = () => giveBack(refused, around);
    refused.answer.sayAfter(
      sentence(error), [{ label: "Try again", press: repeat }, { label: "Edit", press: edit }], retryAfterS ?? 0);
  }
}

/** @param {Refused} refused @param {import("./conversation.js").Surroundings} around */
function giveBack({ start, exchange, answer }, { composer, pane, emptied }) {
  forgetStart();
  exchange.removeAnswer(answer);
  if (!exchange.answers.length) pane.remove(exchange);
  if (!pane.exchanges.length) emptied();
  if (start.body.message && !composer.text) composer.text = start.body.message;
}
