/**
 * A model's text as safe elements: two walls, and no way to fetch anything.
 *
 * The parser never passes HTML through; what it makes is sanitised again before it becomes
 * elements. A remote image would carry what the model knows to whoever owns its address: it
 * becomes a link that only a reader can follow.
 *
 * @module markdown
 */

import DOMPurify from "./vendor/purify.js";
import MarkdownIt from "./vendor/markdown-it.js";
import { highlight } from "./highlighting.js";

/**
 * What stands at the top level of the text; each becomes exactly one element.
 *
 * @typedef {{start: number, html: string}} Block
 */

/** Only the web and mail: no script, no data, nothing on this server that a click could reach. */
const FOLLOWED = /^(https?:\/\/|mailto:)/i;

/** @param {string} url */
function isFollowed(url) {
  const isAddress = FOLLOWED.test(url) && URL.canParse(url);
  return isAddress && new URL(url).origin !== location.origin;
}

const parser = new MarkdownIt({ html: false, linkify: true, breaks: true, highlight: null });
// `example.py` is a file more often than a site in Paraguay.
parser.linkify.set({ fuzzyLink: false, fuzzyEmail: false, fuzzyIP: false });
parser.validateLink = isFollowed;

const { escapeHtml } = parser.utils;
/** @type {import("./vendor/markdown-it.js").Renderer["rules"]} */
const rules = parser.renderer.rules;

rules.link_open = (tokens, index, options, _env, renderer) => {
  tokens[index].attrSet("target", "_blank");
  tokens[index].attrSet("rel", "noopener noreferrer nofollow");
  return renderer.renderToken(tokens, index, options);
};

rules.image = (tokens, index) => {
  const token = tokens[index];
  const label = escapeHtml(token.content || "image");
  const source = token.attrGet("src") ?? "";
  if (!isFollowed(source)) return label;
  const href = escapeHtml(source);
  return `<a class="image-link" href="${href}" target="_blank" rel="noopener noreferrer nofollow">${label}</a>`;
};

// The page's own headings come first: an answer's begin below them.
rules.heading_open = (tokens, index) => `<h${headingLevel(tokens[index].tag)}>`;
rules.heading_close = (tokens, index) => `</h${headingLevel(tokens[index].tag)}>`;

/** @param {string} tag */
const headingLevel = (tag) => Math.min(6, Number(tag.slice(1)) + 2);

rules.table_open = () => '<div class="table-frame" role="region" aria-label="Table" tabindex="0"><table>';
rules.table_close = () => "</table></div>";

rules.fence = (tokens, index, _options, env) => {
  const language = tokens[index].info.trim().split(/\s+/)[0] ?? "";
  return codeBlock(tokens[index].content, language, env);
};
rules.code_block = (tokens, index, _options, env) => codeBlock(tokens[index].content, "", env);

/**
 * @param {string} code
 * @param {string} language As the model named it; empty for none.
 * @param {{isLive?: boolean}} env
 */
function codeBlock(code, language, env) {
  const text = code.replace(/\n$/, "");
  const name = language.slice(0, 30);
  return (
    `<div class="code-frame"><div class="code-bar"><span class="code-language">${escapeHtml(name || "text")}</span>` +
    '<button type="button" class="copy-code">Copy</button></div>' +
    `<pre tabindex="0"><code>${highlight(text, name, Boolean(env.isLive)) ?? escapeHtml(text)}</code></pre></div>`
  );
}

parser.core.ruler.push("task_lists", (state) => {
  for (const [index, token] of state.tokens.entries()) {
    if (token.type !== "inline" || state.tokens[index - 2]?.type !== "list_item_open") continue;
    const box = token.children?.[0];
    const match = box && /^\[([ xX])\]\s+/.exec(box.content);
    if (!box || !match) continue;
    box.content = `${match[1] === " " ? "☐" : "☑"} ${box.content.slice(match[0].length)}`;
    state.tokens[index - 2].attrJoin("class", "task");
  }
});

const PURIFY = {
  ALLOWED_TAGS: [
    "a", "blockquote", "br", "button", "code", "del", "div", "em", "h3", "h4", "h5", "h6", "hr",
    "li", "ol", "p", "pre", "s", "span", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
  ],
  ALLOWED_ATTR: ["class", "href", "rel", "role", "start", "tabindex", "target", "title", "type"],
  ALLOWED_URI_REGEXP: FOLLOWED,
  // These are no addresses; all other attributes must look like one that may be followed.
  ADD_URI_SAFE_ATTR: ["rel", "role", "start", "tabindex", "target", "type"],
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: true,
  RETURN_DOM_FRAGMENT: true,
};

/**
 * @param {string} html
 * @returns {DocumentFragment}
 */
export function sanitize(html) {
  const fragment = /** @type {DocumentFragment} */ (DOMPurify.sanitize(html, PURIFY));
  for (const cell of fragment.querySelectorAll("td, th")) alignCell(cell);
  return fragment;
}

/** Alignment comes as a class: the policy of the page forbids style attributes. @param {Element} cell */
function alignCell(cell) {
  if (!/^align-(left|right|center)$/.test(cell.className)) cell.removeAttribute("class");
}

for (const name of ["th_open", "td_open"]) {
  rules[name] = (tokens, index) => {
    const side = /text-align:(left|right|center)/.exec(tokens[index].attrGet("style") ?? "");
    return side ? `<${tokens[index].tag} class="align-${side[1]}">` : `<${tokens[index].tag}>`;
  };
}

/**
 * Cut a text into its top-level blocks and render each.
 *
 * @param {string} text
 * @param {{isLive?: boolean}} env
 * @returns {Block[]} In order; `start` is the offset of the block's first line in the text.
 */
export function toBlocks(text, env) {
  const tokens = parser.parse(text, env);
  const lines = lineStarts(text);
  /** @type {Block[]} */
  const blocks = [];
  let first = 0;
  for (const [index, token] of tokens.entries()) {
    if (token.level !== 0 || token.nesting === 1) continue;
    const [from] = tokens[first].map ?? [0];
    const html = parser.renderer.render(tokens.slice(first, index + 1), parser.options, env);
    blocks.push({ start: lines[from], html: html.trim() });
    first = index + 1;
  }
  return blocks;
}

/** @param {string} text @returns {number[]} Offset of each line. */
function lineStarts(text) {
  const starts = [0];
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  return starts;
}

/**
 * A half-written text as its author most likely means it, so that marks do not flash up and vanish:
 * open emphasis and code are closed, half a link shows its words, and a last line that may yet
 * become a heading's underline, a list or a table waits for the rest of it.
 *
 * @param {string} text
 */
export function heal(text) {
  if (isInsideFence(text)) return text.replace(/\n[ \t]*(`{1,}|~{1,})$/, "\n");
  const cut = text.replace(/(^|\n)[ \t]*(`{1,2}|~{1,2}|-+|=+|\*+|#+|\d+[.)]?|>)[ \t]*$/, "$1");
  const paragraph = cut.lastIndexOf("\n\n") + 1;
  return cut.slice(0, paragraph) + healInline(holdTable(cut.slice(paragraph)));
}

/** @param {string} text */
function isInsideFence(text) {
  let mark = "";
  for (const [, found] of text.matchAll(/^[ \t>]*(`{3,}|~{3,})/gm)) {
    if (!mark) mark = found;
    else if (found[0] === mark[0] && found.length >= mark.length) mark = "";
  }
  return mark !== "";
}

/** A table is one only from its second line on. @param {string} tail */
function holdTable(tail) {
  return /^\n?\|[^\n]*(\n[|:\- \t]*)?$/.test(tail) ? "" : tail;
}

/** @param {string} tail */
function healInline(tail) {
  const plain = tail.replace(/`[^`\n]*`/g, (code) => "x".repeat(code.length));
  const tick = plain.lastIndexOf("`");
  if (tick >= 0) return tick === tail.length - 1 ? tail.slice(0, -1) : `${tail}\``;
  const linked = tail.replace(/!?\[([^\]\n]*)(\](\([^)\n]*)?)?$/, "$1");
  const isOdd = (plain.match(/\*\*/g) ?? []).length % 2 === 1;
  if (!isOdd) return linked;
  const trimmed = linked.replace(/[\s*]+$/, "");
  return plain.trimEnd().endsWith("**") && !/\*\*\S/.test(linked.slice(linked.lastIndexOf("**")))
    ? trimmed
    : `${trimmed}**`;
}
