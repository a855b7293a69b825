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
    if (piece && piece.start === this.#piece?.start && piece.end === this.#piece.end) return;
    this.#piece = piece;
    this.refresh();
    if (!piece) paint([]);
  }

  /** @param {Range} range */
  showRange(range) {
    this.#piece = null;
    paint([range]);
  }

  /** After the text was drawn again. */
  refresh() {
    if (this.#piece) paint(rangesOf(this.prose, this.#piece));
  }
}

/** @param {Range[]} ranges What is to be marked, on the whole page. */
function paint(ranges) {
  if (!CSS.highlights) return;
  if (ranges.length) CSS.highlights.set(NAME, new Highlight(...ranges));
  else CSS.highlights.delete(NAME);
}

/**
 * @param {Element} root
 * @returns {Range[]} The sentences that can be read out of it, as the browser finds them.
 */
export function sentencesIn(root) {
  const segmenter = new Intl.Segmenter(undefined, { granularity: "sentence" });
  const blocks = [...root.querySelectorAll("p, li, h3, h4, h5, h6")].filter((block) => !block.closest(UNSPOKEN));
  return blocks.flatMap((block) => {
    const nodes = textNodes(block).filter((node) => node.parentElement?.closest("p, li, h3, h4, h5, h6") === block);
    const text = nodes.map(({ data }) => data).join("");
    return [...segmenter.segment(text)].filter(({ segment }) => /[\p{L}\p{N}]/u.test(segment)).map(({ segment, index }) => {
      const end = index + segment.trimEnd().length;
      return rangeOver(nodes, index, end - 1);
    });
  });
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
  return first < shown.length ? rangeOver(nodes, first, last) : null;
}

/** @param {Text[]} nodes @param {number} first @param {number} last Both in the text of all nodes, and included. */
function rangeOver(nodes, first, last) {
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
