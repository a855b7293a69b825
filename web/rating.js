/**
 * What a reader thinks of an answer.
 *
 * @module rating
 */

import * as api from "./api.js";
import { sentence } from "./problems.js";

/**
 * @param {string} messageId
 * @param {"up"|"down"} rating
 * @param {{announce: (text: string) => void, notify: (text: string) => void}} around
 * @returns {Promise<boolean>} Whether it is kept.
 */
export async function rate(messageId, rating, { announce, notify }) {
  try {
    await api.rate(messageId, rating);
    announce("Thank you for your rating.");
    return true;
  } catch (error) {
    notify(sentence(error));
    return false;
  }
}
