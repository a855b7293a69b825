/**
 * What an empty conversation shows.
 *
 * @module view/messages/welcome
 */

import { h } from "../dom.js";

/** Any model can answer these; so can the offline one, out of this project's documentation. */
const EXAMPLES = [
  "How does a streamed answer survive a lost connection?",
  "How do I connect an OpenAI-compatible model?",
  "What is an idempotency key good for?",
  "Compare SQLite and MongoDB in a table",
];

/**
 * @param {(question: string) => void} ask
 * @returns {{element: HTMLElement, greet: (greeting: string) => void}} `greet` puts the chatbot's
 *   own words in, once they are known.
 */
export function welcome(ask) {
  const heading = h("h2", {}, "What would you like to know?");
  const examples = EXAMPLES.map((question) =>
    h("li", {}, h("button", { type: "button", class: "example", on: { click: () => ask(question) } }, question)));
  const element = h("section", { class: "welcome", "aria-label": "Welcome" },
    heading, h("ul", { class: "examples", "aria-label": "Example questions" }, ...examples));
  return { element, greet: (greeting) => { if (greeting) heading.textContent = greeting; } };
}
