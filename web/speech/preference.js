/**
 * Whether answers are spoken, and in which voice: what the user chose, and what the server offers.
 *
 * @module speech/preference
 */

import * as api from "../api.js";
import { hasBrowserVoices } from "./browser_player.js";

const ON = "chatstream.speech";
const VOICE = "chatstream.voice";

/** @typedef {{name: string, language: string}} Voice */

/** Remembered by the browser, for all tabs. */
export class Preference {
  /** @type {Voice[]} */
  voices = [];
  isOn = read(ON) === "on";
  /** Whether the server can speak. Until it has said so: whether it once could. */
  isPossible = this.isOn;
  voice = read(VOICE);
  /** The server has no voice, but the browser has. */
  usesBrowser = false;
  /** @type {() => void} */
  onChange = () => {};

  constructor() {
    window.addEventListener("storage", ({ key }) => {
      if (key !== ON && key !== VOICE) return;
      this.isOn = read(ON) === "on";
      this.voice = read(VOICE);
      this.onChange();
    });
  }

  /** Ask the server for its voices; without an answer all stays as it is. */
  async load() {
    const answer = await api.voices().catch(() => null);
    if (!answer) return;
    this.voices = answer.voices;
    this.#choose(answer.engine === "off");
    // Browsers find their voices when they get round to it.
    if (answer.engine === "off" && "speechSynthesis" in window) {
      speechSynthesis.addEventListener("voiceschanged", () => this.#choose(true));
    }
  }

  /** @param {boolean} isServerMute */
  #choose(isServerMute) {
    this.usesBrowser = isServerMute && hasBrowserVoices();
    this.isPossible = !isServerMute || this.usesBrowser;
    this.onChange();
  }

  /** @param {boolean} isOn */
  setOn(isOn) {
    this.isOn = isOn;
    write(ON, isOn ? "on" : "");
    this.onChange();
  }

  /** @param {string} name Empty: the server chooses by the text's language. */
  setVoice(name) {
    this.voice = name;
    write(VOICE, name);
    this.onChange();
  }

  /**
   * What a start asks for.
   *
   * @returns {{speech?: true|{voice: string, language?: string}}} Empty when nothing is to be spoken.
   */
  wish() {
    if (!this.isOn || !this.isPossible || this.usesBrowser) return {};
    const voice = this.voices.find(({ name }) => name === this.voice);
    if (!voice) return { speech: true };
    return { speech: { voice: voice.name, ...(voice.language ? { language: voice.language } : {}) } };
  }
}

/**
 * @param {Voice[]} voices
 * @param {readonly string[]} preferred The user's languages, best first.
 * @returns {{language: string, label: string, voices: Voice[]}[]} By language: the user's own first,
 *   the others by name.
 */
export function groupVoices(voices, preferred) {
  const own = [...new Set(preferred.map(primary))];
  const rank = (/** @type {string} */ language) => (own.includes(language) ? own.indexOf(language) : own.length);
  const groups = [...Map.groupBy(voices, ({ language }) => primary(language))].map(([language, members]) => ({
    language,
    label: nameOf(language, preferred),
    voices: members.toSorted((a, b) => a.name.localeCompare(b.name)),
  }));
  return groups.toSorted((a, b) => rank(a.language) - rank(b.language) || a.label.localeCompare(b.label));
}

/** @param {string} language @returns {string} */
const primary = (language) => language.split("-")[0].toLowerCase();

/** @param {string} language @param {readonly string[]} preferred @returns {string} */
export function nameOf(language, preferred) {
  try {
    return new Intl.DisplayNames([...preferred, "en"], { type: "language" }).of(language) ?? language;
  } catch {
    return language || "Other";
  }
}

/** @param {string} key @returns {string} */
function read(key) {
  try {
    return localStorage.getItem(key) ?? "";
  } catch {
    return "";
  }
}

/** @param {string} key @param {string} value */
function write(key, value) {
  try {
    if (value) localStorage.setItem(key, value);
    else localStorage.removeItem(key);
  } catch {
    // Storage is forbidden: the choice lasts as long as the page.
  }
}
