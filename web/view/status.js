/**
 * How the page is connected: one quiet line.
 *
 * @module view/status
 */

import { find } from "./dom.js";

const WORDS = {
  idle: "Ready",
  connecting: "Connecting…",
  live: "Live",
  reconnecting: "Reconnecting…",
  waiting: "Too many readers: waiting for a place…",
  offline: "Offline",
};

/** @param {keyof typeof WORDS} link */
export function showLink(link) {
  const shown = navigator.onLine ? link : "offline";
  const status = find("#link", HTMLElement);
  if (status.dataset.link === shown) return;
  status.dataset.link = shown;
  find("#link-words", HTMLElement).textContent = WORDS[shown];
}
