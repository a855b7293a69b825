/**
 * Where messages are written.
 *
 * @module view/composer
 */

/** From this share of the limit on, what is left is shown. */
const SHOWN_FROM = 0.8;

/** The box, its counter and its one button: send, or stop while an answer is written. */
export class Composer {
  #isBusy = false;
  #isHeld = false;
  /** Characters (code points) in a message; the server refuses more. */
  limit = 8000;

  /**
   * @param {{form: HTMLElement, box: HTMLTextAreaElement, button: HTMLButtonElement, counter: HTMLElement}} elements
   * @param {{send: (text: string) => void, stop: () => void, changed: (text: string) => void}} actions
   */
  constructor({ form, box, button, counter }, actions) {
    this.form = form;
    this.box = box;
    this.button = button;
    this.counter = counter;
    this.actions = actions;
    box.addEventListener("input", () => this.#changed());
    box.addEventListener("keydown", (event) => this.#key(event));
    button.addEventListener("click", () => (this.#isBusy ? actions.stop() : this.#send()));
    form.addEventListener("click", (event) => { if (event.target === form) box.focus(); });
    this.#draw();
  }

  get text() {
    return this.box.value;
  }

  set text(text) {
    this.box.value = text;
    this.#changed();
  }

  get isBusy() {
    return this.#isBusy;
  }

  /** @param {boolean} isBusy */
  setBusy(isBusy) {
    this.#isBusy = isBusy;
    this.#draw();
  }

  /** Nothing can be sent for a while; it can be written. @param {boolean} isHeld */
  setHeld(isHeld) {
    this.#isHeld = isHeld;
    this.#draw();
  }

  focus() {
    this.box.focus();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    // While a word is being composed (Japanese, Chinese, …) Enter chooses it.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    if (!this.#isBusy) this.#send();
  }

  #send() {
    const text = this.text.trim();
    if (!text || this.#isHeld || this.#left() < 0) return;
    this.text = "";
    this.actions.send(text);
  }

  #left() {
    if (this.text.length < this.limit * SHOWN_FROM) return this.limit - this.text.length;
    return this.limit - [...this.text].length;
  }

  #changed() {
    this.#draw();
    this.actions.changed(this.text);
  }

  #draw() {
    this.#fit();
    const left = this.#left();
    const isNear = left < this.limit * (1 - SHOWN_FROM);
    this.counter.textContent = isNear ? describeLeft(left) : "";
    this.counter.classList.toggle("is-over", left < 0);
    this.form.dataset.busy = String(this.#isBusy);
    const label = this.#isBusy ? "Stop the answer" : "Send the message";
    this.button.title = label;
    this.button.setAttribute("aria-label", label);
    this.button.disabled = !this.#isBusy && (!this.text.trim() || this.#isHeld || left < 0);
  }

  /** Grows with its text; the style sheet says how far. */
  #fit() {
    this.box.style.height = "auto";
    this.box.style.height = `${this.box.scrollHeight}px`;
  }
}

/** @param {number} left */
function describeLeft(left) {
  const count = Math.abs(left).toLocaleString();
  return left < 0 ? `${count} too many` : `${count} left`;
}
