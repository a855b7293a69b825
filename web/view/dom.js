/**
 * Elements in one line. Attributes and text only: nothing here ever parses HTML.
 *
 * @module view/dom
 */

const SVG = "http://www.w3.org/2000/svg";

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, any>} [properties] `class`, `aria-*`, `data-*`, `role`, `for` become
 *   attributes; `on` maps event names to listeners; everything else is set as a property.
 * @param {...(Node|string|null)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "on") listen(element, value);
    else if (/^(class|role|for|aria-.*|data-.*)$/.test(name)) element.setAttribute(name, value);
    else Reflect.set(element, name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/**
 * @param {HTMLElement} element
 * @param {Record<string, EventListener>} listeners
 */
function listen(element, listeners) {
  for (const [name, listener] of Object.entries(listeners)) element.addEventListener(name, listener);
}

/**
 * @param {string} name One of the symbols in index.html.
 * @returns {SVGSVGElement}
 */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

/**
 * A button that shows an icon; its label is for screen readers and the tooltip.
 *
 * @param {string} name
 * @param {string} label
 * @param {(event: Event) => void} press
 * @returns {HTMLButtonElement}
 */
export function iconButton(name, label, press) {
  return h(
    "button",
    { class: "icon-button", type: "button", title: label, "aria-label": label, on: { click: press } },
    icon(name),
  );
}

/**
 * @template {Element} E
 * @param {string} selector
 * @param {new (...args: any[]) => E} type
 * @returns {E} The element that index.html promises.
 */
export function find(selector, type) {
  const element = document.querySelector(selector);
  if (!(element instanceof type)) throw new Error(`index.html has no ${selector}`);
  return element;
}
