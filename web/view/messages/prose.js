/**
 * Shows a text that grows: only the last blocks are parsed and touched, however long it is.
 *
 * Elements are changed in place, never replaced while they keep their kind: nothing flickers, a
 * selection survives, and a block that is finished is never touched again.
 *
 * @module view/messages/prose
 */

import { whenReady } from "../../highlighting.js";
import { heal, sanitize, toBlocks } from "../../markdown.js";

/** One text in one element. */
export class Prose {
  /** Text of the blocks that can no longer change. */
  #settledEnd = 0;
  #settledCount = 0;
  #text = "";
  #isLive = false;
  #waitsForColours = false;
  /** @type {string[]} */
  #html = [];
  /** Where in the text each block begins. @type {number[]} */
  starts = [];

  /**
   * @param {HTMLElement} root
   * @param {(block: Element) => void} [onBlock] Told of each block once it is finished.
   */
  constructor(root, onBlock = () => {}) {
    this.root = root;
    this.onBlock = onBlock;
  }

  get text() {
    return this.#text;
  }

  /** What the next delta may still change, in characters: the bound of its cost. */
  get unsettledLength() {
    return this.#text.length - this.#settledEnd;
  }

  /** @param {string} text All of it so far. */
  grow(text) {
    if (!text.startsWith(this.#text.slice(0, this.#settledEnd))) this.#restart();
    this.#text = text;
    this.#isLive = true;
    const tail = text.slice(this.#settledEnd);
    const blocks = toBlocks(heal(tail), { isLive: true });
    blocks.forEach((block, index) => { this.starts[this.#settledCount + index] = this.#settledEnd + block.start; });
    blocks.forEach((block, index) => this.#show(this.#settledCount + index, block.html));
    this.#trim(this.#settledCount + blocks.length);
    this.#settle(tail, blocks);
  }

  /** @param {string} text The whole text: every block is made certain. */
  finish(text) {
    const blocks = toBlocks(text, {});
    const told = this.#settledCount;
    this.starts = blocks.map((block) => block.start);
    blocks.forEach((block, index) => this.#show(index, block.html));
    this.#trim(blocks.length);
    if (this.#isLive) [...this.root.children].slice(told).forEach(this.onBlock);
    this.#text = text;
    this.#isLive = false;
    this.#settledEnd = text.length;
    this.#settledCount = blocks.length;
  }

  /**
   * A block is finished once a whole line stands behind it: half a line may still turn out to
   * belong to it (`2` becomes `2. second`).
   *
   * @param {string} tail
   * @param {import("../../markdown.js").Block[]} blocks
   */
  #settle(tail, blocks) {
    const next = blocks.findLastIndex((block) => tail.slice(block.start).includes("\n"));
    if (next < 1) return;
    for (const index of Array(next).keys()) {
      this.onBlock(this.root.children[this.#settledCount + index]);
    }
    this.#settledCount += next;
    this.#settledEnd += blocks[next].start;
  }

  #restart() {
    this.#settledEnd = 0;
    this.#settledCount = 0;
  }

  #awaitColours() {
    if (this.#waitsForColours) return;
    this.#waitsForColours = true;
    whenReady(() => this.#recolour());
  }

  #recolour() {
    if (this.#isLive) {
      this.#restart();
      this.grow(this.#text);
    } else if (this.#text) this.finish(this.#text);
  }

  /** @param {number} index @param {string} html */
  #show(index, html) {
    if (this.#html[index] === html) return;
    this.#html[index] = html;
    if (html.includes("code-frame")) this.#awaitColours();
    const made = sanitize(html).firstElementChild ?? document.createElement("p");
    const shown = this.root.children[index];
    if (shown) morph(shown, made);
    else this.root.append(made);
  }

  /** @param {number} count */
  #trim(count) {
    this.#html.length = count;
    this.starts.length = Math.min(count, this.starts.length);
    while (this.root.children.length > count) this.root.lastElementChild?.remove();
  }
}

/**
 * Make one element like another with as few changes as possible.
 *
 * @param {Node} shown
 * @param {Node} wanted
 */
export function morph(shown, wanted) {
  if (shown.nodeName !== wanted.nodeName) {
    shown.parentNode?.replaceChild(wanted, shown);
  } else if (shown instanceof Element && wanted instanceof Element) {
    copyAttributes(shown, wanted);
    morphChildren(shown, wanted);
  } else if (shown.nodeValue !== wanted.nodeValue) {
    setText(shown, wanted.nodeValue ?? "");
  }
}

/** Appending keeps a selection that lies in the text before. @param {Node} node @param {string} text */
function setText(node, text) {
  const old = node.nodeValue ?? "";
  if (node instanceof Text && text.startsWith(old)) node.appendData(text.slice(old.length));
  else node.nodeValue = text;
}

/** @param {Element} shown @param {Element} wanted */
function copyAttributes(shown, wanted) {
  for (const { name } of [...shown.attributes]) {
    if (!wanted.hasAttribute(name)) shown.removeAttribute(name);
  }
  for (const { name, value } of wanted.attributes) {
    if (shown.getAttribute(name) !== value) shown.setAttribute(name, value);
  }
}

/** @param {Element} shown @param {Element} wanted */
function morphChildren(shown, wanted) {
  const children = [...wanted.childNodes];
  for (const [index, child] of children.entries()) {
    const old = shown.childNodes[index];
    if (old) morph(old, child);
    else shown.append(child);
  }
  while (shown.childNodes.length > children.length) shown.lastChild?.remove();
}
