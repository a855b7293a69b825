/**
 * The speaker in the composer, and the choice of a voice below it.
 *
 * @module view/speech_choice
 */

import { groupVoices, nameOf } from "../speech/preference.js";
import { h, icon } from "./dom.js";

/** Shows what the user chose, and takes their choice. */
export class SpeechChoice {
  /** @type {import("../speech/preference.js").Voice[]|null} */
  #listed = null;

  /**
   * @param {{toggle: HTMLButtonElement, field: HTMLElement, select: HTMLSelectElement}} elements
   * @param {import("../speech/preference.js").Preference} preference
   * @param {{switched: (isOn: boolean) => void}} actions Told in the user's gesture.
   */
  constructor({ toggle, field, select }, preference, actions) {
    this.toggle = toggle;
    this.field = field;
    this.select = select;
    this.preference = preference;
    this.actions = actions;
    toggle.addEventListener("click", () => this.switch());
    select.addEventListener("change", () => preference.setVoice(select.value));
    preference.onChange = () => this.#draw();
    this.#draw();
  }

  /** On or off. */
  switch() {
    if (!this.preference.isPossible) return;
    this.preference.setOn(!this.preference.isOn);
    this.actions.switched(this.preference.isOn);
  }

  #draw() {
    const { isOn, isPossible, voices, voice } = this.preference;
    this.toggle.hidden = !isPossible;
    document.body.classList.toggle("is-mute", !isPossible);
    this.toggle.setAttribute("aria-pressed", String(isOn));
    this.toggle.title = `Speak answers: ${isOn ? "on" : "off"} (Ctrl+Shift+L)`;
    this.toggle.replaceChildren(icon(isOn ? "speaker" : "speaker-off"));
    this.field.hidden = !isPossible || !isOn || voices.length < 2;
    if (this.#listed !== voices) this.#list(voices);
    this.select.value = voices.some(({ name }) => name === voice) ? voice : "";
  }

  /** @param {import("../speech/preference.js").Voice[]} voices */
  #list(voices) {
    this.#listed = voices;
    const groups = groupVoices(voices, navigator.languages).map(({ label, voices: members }) => {
      const group = h("optgroup", { label });
      group.append(...members.map((voice) => h("option", { value: voice.name }, describe(voice))));
      return group;
    });
    this.select.replaceChildren(h("option", { value: "" }, "Automatic"), ...groups);
  }
}

/** @param {import("../speech/preference.js").Voice} voice */
function describe({ name, language }) {
  if (language.toLowerCase().startsWith(name.toLowerCase())) return nameOf(language, navigator.languages);
  const region = language.includes("-") ? nameOf(language, navigator.languages) : "";
  return region && !name.includes(region) ? `${name} – ${region}` : name;
}
