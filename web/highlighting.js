/**
 * Colours for code. The library is fetched when the first block of code is shown, not before.
 *
 * @module highlighting
 */

/** Above it, colouring costs more than it helps. Characters. */
const LONGEST = 50_000;
/** While it is still being written the block is coloured anew in every frame. */
const LONGEST_LIVE = 4_000;

/** @typedef {{getLanguage(name: string): unknown, highlight(code: string, options: {language: string, ignoreIllegals: boolean}): {value: string}}} Highlighter */

/** @type {Highlighter|null} */
let highlighter = null;
/** @type {Promise<void>|null} */
let loading = null;

const ready = new EventTarget();

/**
 * Blocks shown without colours can then be shown with them.
 *
 * @param {() => void} callback Called once; never, when the colours are already there.
 */
export function whenReady(callback) {
  if (!highlighter) ready.addEventListener("ready", callback, { once: true });
}

function load() {
  loading ??= import("./vendor/highlight.js").then(
    (library) => {
      highlighter = library.default;
      ready.dispatchEvent(new Event("ready"));
    },
    () => { loading = null; },
  );
}

/**
 * @param {string} code
 * @param {string} language
 * @param {boolean} isLive
 * @returns {string|null} HTML, all text of it escaped; null: show it plain.
 */
export function highlight(code, language, isLive) {
  if (!language || code.length > (isLive ? LONGEST_LIVE : LONGEST)) return null;
  if (!highlighter) {
    load();
    return null;
  }
  const known = highlighter.getLanguage(language);
  return known ? highlighter.highlight(code, { language, ignoreIllegals: true }).value : null;
}
