/**
 * What an empty conversation shows.
 *
 * @module view/messages/welcome
 */

import { h } from "../dom.js";

const EXAMPLES = [
  "Explain server-sent events to a web developer",
  "Write a Python function that merges overlapping intervals",
  "Compare SQLite and MongoDB in a table",
  "Plan a three-day walk in the Alps",
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
