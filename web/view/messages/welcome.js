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
 * @param {string} greeting The chatbot's own; empty while it is not known.
 * @param {(question: string) => void} ask
 */
export function welcome(greeting, ask) {
  return h("section", { class: "welcome", "aria-label": "Welcome" },
    h("h2", {}, greeting || "What would you like to know?"),
    h("ul", { class: "examples", "aria-label": "Example questions" },
      ...EXAMPLES.map((question) => h("li", {},
        h("button", { type: "button", class: "example", on: { click: () => ask(question) } }, question)))));
}
