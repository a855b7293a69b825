/**
 * Descriptions as elements: paragraphs, `code` and **strong**, and no other Markdown.
 *
 * @module docs/words
 */

import { h } from "../view/dom.js";

/**
 * @param {string} text
 * @returns {HTMLParagraphElement[]}
 */
export function paragraphs(text) {
  return text.trim().split(/\n{2,}/).map((part) => h("p", {}, ...inline(part)));
}

/**
 * @param {string} text
 * @returns {(string|HTMLElement)[]}
 */
export function inline(text) {
  return text.split(/(`[^`]+`|\*\*[^*]+\*\*)/).filter(Boolean).map((part) => {
    if (part.startsWith("`") && part.endsWith("`")) return h("code", {}, part.slice(1, -1));
    if (part.startsWith("**")) return h("strong", {}, part.slice(2, -2));
    return part;
  });
}
