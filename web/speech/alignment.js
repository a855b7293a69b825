/**
 * Which character of a markdown text became which character on the page.
 *
 * What is shown is, but for rare exceptions, the text with its marks left out. So both are walked
 * from their beginnings, and marks are stepped over: no parser has to be asked. Words are only
 * stepped over where what follows agrees, so that a mistake ends soon.
 *
 * @module speech/alignment
 */

/** Further than this nothing is looked for. */
const REACH = 160;
/** So many characters in a row are no coincidence. */
const SURE = 4;

/** Shown nowhere, and could be taken for words: targets of links, heads of list items. */
const UNSEEN = [
  /\]\([^()\s]*(?:\([^()\s]*\)[^()\s]*)*(?:\s+"[^"\n]*")?\)/g,
  /^[ \t>]*(?:[-*+]|\d{1,9}[.)])[ \t]+(?:\[[ xX]\][ \t]+)?/gm,
];
const ENTITY = /&(?:(amp|lt|gt|quot|apos)|#(\d{1,7})|#x([0-9a-f]{1,6})|[a-z][a-z0-9]{1,30});/gi;
/** @type {Record<string, string>} */
const NAMED = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

/** @param {string} source @returns {string} Of the same length. */
function masked(source) {
  let text = source;
  for (const pattern of UNSEEN) text = text.replace(pattern, (found) => found.replace(/\S/g, " "));
  return text.replace(ENTITY, (found, name, decimal, hexadecimal) => {
    const code = decimal ? Number(decimal) : parseInt(hexadecimal ?? "0", 16);
    const shown = name ? NAMED[name.toLowerCase()] : code > 0 && code <= 0xffff ? String.fromCharCode(code) : " ";
    return shown + " ".repeat(found.length - 1);
  });
}

/**
 * @param {string} source Markdown.
 * @param {string} shown Its text on the page.
 * @returns {Int32Array} For each UTF-16 unit that is shown its place in the source, each behind the
 *   one before; -1 for blanks, and for what is not in the source.
 */
export function align(source, shown) {
  const text = masked(source);
  const places = new Int32Array(shown.length).fill(-1);
  let at = 0;
  for (let index = 0; index < shown.length; index += 1) {
    const found = /\s/.test(shown[index]) ? -1 : findNext(text, at, shown, index);
    if (found < 0) continue;
    places[index] = found;
    at = found + 1;
  }
  return places;
}

/** @param {string} text @param {number} from @param {string} shown @param {number} index */
function findNext(text, from, shown, index) {
  let at = from;
  while (at < text.length && text[at] !== shown[index] && !/[\p{L}\p{N}]/u.test(text[at])) at += 1;
  if (text[at] === shown[index]) return at;
  const further = text.slice(from, from + REACH).indexOf(shown.slice(index, index + SURE));
  return further < 0 ? -1 : from + further;
}

/**
 * @param {string} text
 * @param {number} codePoints
 * @returns {number} The same place in UTF-16 units; at most the end of the text.
 */
export function toUnits(text, codePoints) {
  let at = 0;
  for (let left = codePoints; left > 0 && at < text.length; left -= 1) {
    at += (text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1;
  }
  return at;
}
