/**
 * One operation: a line that is always there, and what it says when it is opened.
 *
 * @module docs/operation
 */

import { h, icon } from "../view/dom.js";
import { curl } from "./curl.js";
import { schemaView, typeOf } from "./schema.js";
import { inline, paragraphs } from "./words.js";

/** @typedef {import("./description.js").Json} Json */
/** @typedef {import("./description.js").Operation} Operation */
/** @typedef {import("./description.js").Description} Description */

/**
 * @param {Description} description
 * @param {Operation} operation
 * @returns {HTMLDetailsElement}
 */
export function operationView(description, operation) {
  const box = h(
    "details",
    { class: "operation", id: operation.id },
    h(
      "summary",
      {},
      h("span", { class: "method", "data-method": operation.method }, operation.method),
      h("code", { class: "path" }, ...path(operation.path)),
      h("span", { class: "short" }, operation.told.summary),
    ),
  );
  box.addEventListener("toggle", () => {
    if (box.open && box.childElementCount === 1) box.append(inner(description, operation));
  });
  return box;
}

/**
 * @param {string} address
 * @returns {(string|HTMLElement)[]} Where it may be broken, and what is to be filled in.
 */
function path(address) {
  return address.split(/(\{\w+\}|\/)/).filter(Boolean).flatMap((part) => {
    if (part === "/") return [h("wbr"), "/"];
    return part.startsWith("{") ? [h("em", {}, part)] : [part];
  });
}

/**
 * @param {Description} description
 * @param {Operation} operation
 */
function inner(description, operation) {
  const { told } = operation;
  const body = told.requestBody?.content["application/json"];
  return h(
    "div",
    { class: "inner" },
    h("div", { class: "words" }, ...paragraphs(told.description)),
    proofs(told.security),
    command(curl(description, operation, location.origin)),
    ...(told.parameters ? [part("Parameters"), parameters(description, told.parameters)] : []),
    ...(body ? [part(told.requestBody.required ? "Body" : "Body, optional"), ...content(description, body)] : []),
    part("Answers"),
    ...Object.entries(told.responses).map(([status, response]) => answer(description, status, description.follow(response))),
  );
}

/** @param {string} title */
function part(title) {
  return h("h4", {}, title);
}

/** @param {Json[]} security */
function proofs(security) {
  const names = security.flatMap((each) => Object.entries(each).map(([name, scopes]) => [name, ...scopes].join(" ")));
  if (!names.length) return h("p", { class: "proofs" }, h("span", {}, "no proof needed"));
  const open = security.some((each) => Object.keys(each).length === 0);
  return h("p", { class: "proofs", "aria-label": "Proofs that are taken" }, ...(open ? [h("span", {}, "nothing")] : []), ...names.map((name) => h("span", {}, name.replaceAll("_", " "))));
}

/** @param {string} text */
function command(text) {
  const button = h("button", { class: "icon-button", type: "button", title: "Copy", "aria-label": "Copy the command" }, icon("copy"));
  const code = h("code", {}, text);
  button.addEventListener("click", () => void copy(text, code, button));
  return h("div", { class: "command" }, h("pre", { tabIndex: 0 }, code), button);
}

/**
 * @param {string} text
 * @param {HTMLElement} code
 * @param {HTMLButtonElement} button
 */
async function copy(text, code, button) {
  try {
    await navigator.clipboard.writeText(text);
    button.replaceChildren(icon("check"));
    button.setAttribute("aria-label", "Copied");
    setTimeout(() => {
      button.replaceChildren(icon("copy"));
      button.setAttribute("aria-label", "Copy the command");
    }, 1500);
  } catch {
    getSelection()?.selectAllChildren(code); // Forbidden: then by hand.
  }
}

/**
 * @param {Description} description
 * @param {Json[]} found
 */
function parameters(description, found) {
  const rows = found.map((each) => h(
    "div",
    { class: "property" },
    h("dt", {}, h("code", {}, each.name), h("span", { class: "maybe" }, each.required ? each.in : `${each.in}, optional`)),
    h("dd", {}, h("span", { class: "type" }, typeOf(description, each.schema)), h("p", {}, ...inline(each.description))),
  ));
  return h("dl", { class: "properties" }, ...rows);
}

/**
 * @param {Description} description
 * @param {Json} told
 * @returns {HTMLElement[]}
 */
function content(description, told) {
  const shown = Object.keys(told.schema ?? {}).length ? [schemaView(description, told.schema)] : [];
  if (told.example === undefined) return shown;
  return [...shown, h("pre", { class: "example", tabIndex: 0 }, h("code", {}, JSON.stringify(told.example, null, 2)))];
}

/**
 * @param {Description} description
 * @param {string} status
 * @param {Json} response
 */
function answer(description, status, response) {
  const box = h(
    "details",
    { class: "answer" },
    h("summary", {}, h("span", { class: "status-code", "data-class": status[0] ?? "" }, status), h("span", {}, ...inline(response.description))),
  );
  box.addEventListener("toggle", () => {
    if (!box.open || box.childElementCount > 1) return;
    const headers = Object.entries(response.headers ?? {});
    for (const [type, told] of Object.entries(response.content ?? {})) {
      box.append(h("p", { class: "media-type" }, type), ...content(description, told));
    }
    if (headers.length) box.append(h("p", { class: "media-type" }, "Headers"), headerList(description, headers));
  });
  return box;
}

/**
 * @param {Description} description
 * @param {[string, Json][]} headers
 */
function headerList(description, headers) {
  const rows = headers.map(([name, told]) => {
    const { description: about } = description.follow(told);
    return h("div", { class: "property" }, h("dt", {}, h("code", {}, name)), h("dd", {}, h("p", {}, ...inline(about))));
  });
  return h("dl", { class: "properties" }, ...rows);
}
