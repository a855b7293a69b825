/**
 * The side as a drawer, where the screen is too narrow for both.
 *
 * @module view/drawer
 */

/** Opens and closes the side; on a wide screen it is always there. */
export class Drawer {
  #narrow = matchMedia("(max-width: 760px)");

  /** @param {HTMLElement} side @param {HTMLButtonElement} button @param {HTMLElement} veil */
  constructor(side, button, veil) {
    this.side = side;
    this.button = button;
    button.addEventListener("click", () => this.#set(true));
    veil.addEventListener("click", () => this.close());
    side.addEventListener("keydown", (event) => { if (event.key === "Escape") this.close(); });
    side.addEventListener("click", (event) => {
      if (event.target instanceof Element && event.target.closest("a")) this.close();
    });
    this.#narrow.addEventListener("change", () => this.#set(false));
    this.#set(false);
  }

  close() {
    if (document.body.classList.contains("side-open")) this.#set(false);
  }

  /** @param {boolean} isOpen */
  #set(isOpen) {
    const hadFocus = this.side.contains(document.activeElement);
    document.body.classList.toggle("side-open", isOpen);
    this.button.setAttribute("aria-expanded", String(isOpen));
    // What is off the screen must not be reached by the keyboard either.
    this.side.inert = this.#narrow.matches && !isOpen;
    if (isOpen) this.side.querySelector("a")?.focus();
    else if (hadFocus && this.#narrow.matches) this.button.focus();
  }
}
