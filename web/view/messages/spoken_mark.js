/**
 * Shows which words are being spoken. The elements are left as they are: the browser paints the
 * mark over ranges of their text, and one that cannot shows no mark.
 *
 * @module view/messages/spoken_mark
 */

import { align, toUnits } from "../../speech/alignment.js";

const NAME = "spoken";
/** Their text is not read out, and has no sentences. */
const UNSPOKEN = ".code-frame, .table-frame, hr";

/** The mark in one answer; there is one mark on the page. */
export class SpokenMark {
  /** @type {{start: number, end: number}|null} */
  #piece = null;

  /** @param {import("./prose.js").Prose} prose */
  constructor(prose) {
    this.prose = prose;
  }

  /** @param {{start: number, end: number}|null} piece Code points of the answer's text; null: nothing. */
  show(piece) {
    if (piece?.start === this.#piece?.start && piece?.end === this.#piece?.end) return;
    this.#piece = piece;
    this.refresh();
    if (!piece) CSS.highlights?.delete(NAME);
  }

  /** After the text was drawn again. */
  refresh() {
    if (!this.#piece || !CSS.highlights) return;
    const ranges = rangesOf(this.prose, this.#piece);
    if (ranges.length) CSS.highlights.set(NAME, new Highlight(...ranges));
    else CSS.highlights.delete(NAME);
  }
}

/**
 * @param {import("./prose.js").Prose} prose
 * @param {{start: number, end: number}} piece
 * @returns {Range[]} One for each block that has a part in it.
 */
export function rangesOf({ root, text, starts }, piece) {
  const from = toUnits(text, piece.start);
  const to = toUnits(text, piece.end);
  const ranges = [...root.children].map((block, index) => {
    const start = starts[index] ?? text.length;
    const end = starts[index + 1] ?? text.length;
    if (end <= from || start >= to || block.matches(UNSPOKEN)) return null;
    return rangeIn(block, text.slice(start, end), from - start, to - start);
  });
  return ranges.filter((range) => range !== null);
}

/** @param {Element} block @param {string} source @param {number} from @param {number} to */
function rangeIn(block, source, from, to) {
  const nodes = textNodes(block);
  const shown = nodes.map(({ data }) => data).join("");
  const places = align(source, shown);
  const isIn = (/** @type {number} */ index) => places[index] >= Math.max(0, from) && places[index] < to;
  let first = 0;
  while (first < shown.length && !isIn(first)) first += 1;
  let last = shown.length - 1;
  while (last > first && !isIn(last)) last -= 1;
  if (first >= shown.length) return null;
  const range = document.createRange();
  range.setStart(...placeOf(nodes, first));
  range.setEnd(...placeOf(nodes, last, 1));
  return range;
}

/** @param {Element} block @returns {Text[]} */
function textNodes(block) {
  const walker = document.createTreeWalker(block, NodeFilter.SHOW_TEXT);
  /** @type {Text[]} */
  const nodes = [];
  while (walker.nextNode()) {
    const node = /** @type {Text} */ (walker.currentNode);
    if (!node.parentElement?.closest(UNSPOKEN)) nodes.push(node);
  }
  return nodes;
}

/** @param {Text[]} nodes @param {number} index @param {number} [behind] @returns {[Text, number]} */
function placeOf(nodes, index, behind = 0) {
  let left = index;
  for (const node of nodes) {
    if (left < node.length) return [node, left + behind];
    left -= node.length;
  }
  const last = nodes[nodes.length - 1];
  return [last, last.length];
}
