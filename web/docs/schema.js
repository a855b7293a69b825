/**
 * Schemas as lists of properties; what is inside another is shown when it is opened.
 *
 * @module docs/schema
 */

import { h } from "../view/dom.js";
import { nameOf } from "./description.js";
import { inline } from "./words.js";

/** @typedef {import("./description.js").Json} Json */
/** @typedef {import("./description.js").Description} Description */

const BOUNDS = /** @type {const} */ ([
  ["minimum", "at least"],
  ["maximum", "at most"],
  ["minLength", "characters at least:"],
  ["maxLength", "characters at most:"],
  ["maxItems", "entries at most:"],
  ["pattern", "like"],
]);

/**
 * @param {Description} description
 * @param {Json} schema
 * @returns {HTMLElement}
 */
export function schemaView(description, schema) {
  const whole = merged(description, schema);
  if (whole.oneOf?.some((/** @type {Json} */ each) => eventOf(description, each))) {
    return events(description, whole.oneOf);
  }
  if (whole.properties) return properties(description, whole);
  return h("p", { class: "schema-plain" }, ...said(description, schema), ...inside(description, schema));
}

/**
 * @param {Description} description
 * @param {Json} schema
 * @returns {string} Its type in a few words.
 */
export function typeOf(description, schema) {
  const whole = description.follow(schema);
  const name = nameOf(schema);
  const choices = whole.anyOf ?? whole.oneOf;
  if (choices) return choices.map((/** @type {Json} */ each) => typeOf(description, each)).join(" or ");
  if (whole.const !== undefined) return JSON.stringify(whole.const);
  if (whole.enum) return whole.enum.map((/** @type {any} */ each) => JSON.stringify(each)).join(" | ");
  if (whole.type === "array") return `array of ${typeOf(description, whole.items ?? {})}`;
  if (name && whole.properties) return name;
  if (whole.additionalProperties instanceof Object) return `object of ${typeOf(description, whole.additionalProperties)}`;
  const type = [whole.type].flat().filter(Boolean).join(" or ") || "anything";
  return whole.format ? `${type}, ${whole.format}` : type;
}

/**
 * @param {Description} description
 * @param {Json} schema
 * @returns {Json} The schema, with those that it is made of in one.
 */
function merged(description, schema) {
  const whole = { ...description.follow(schema) };
  for (const part of whole.allOf ?? []) {
    const other = merged(description, part);
    whole.description ??= other.description;
    whole.properties = { ...other.properties, ...whole.properties };
    whole.required = [...(whole.required ?? []), ...(other.required ?? [])];
  }
  return whole;
}

/**
 * @param {Description} description
 * @param {Json} whole
 */
function properties(description, whole) {
  const rows = Object.entries(whole.properties).map(([name, schema]) => h(
    "div",
    { class: "property" },
    h("dt", {}, h("code", {}, name), whole.required?.includes(name) ? null : h("span", { class: "maybe" }, "optional")),
    h("dd", {}, ...said(description, schema), ...inside(description, schema)),
  ));
  return h("dl", { class: "properties" }, ...rows);
}

/**
 * @param {Description} description
 * @param {Json} schema
 * @returns {(Node|string)[]}
 */
function said(description, schema) {
  const whole = { ...description.follow(schema), ...schema };
  /** @type {(Node|string)[]} */
  const parts = [h("span", { class: "type" }, typeOf(description, schema))];
  for (const [key, words] of BOUNDS) {
    if (whole[key] !== undefined) parts.push(h("span", { class: "bound" }, `${words} `, h("code", {}, String(whole[key]))));
  }
  if (whole.default !== undefined && !(whole.default instanceof Object)) {
    parts.push(h("span", { class: "bound" }, "else ", h("code", {}, JSON.stringify(whole.default))));
  }
  if (schema.description) parts.push(h("p", {}, ...inline(schema.description)));
  return parts;
}

/**
 * @param {Description} description
 * @param {Json} schema
 * @returns {HTMLElement[]} One to open, for each schema with properties that this one is made of.
 */
function inside(description, schema) {
  return [...parts(description, schema)].map((part) => {
    const box = h("details", { class: "inside" }, h("summary", {}, nameOf(part) || "Its properties"));
    box.addEventListener("toggle", () => {
      if (box.open && box.childElementCount === 1) box.append(schemaView(description, part));
    });
    return box;
  });
}

/**
 * @param {Description} description
 * @param {Json} schema
 * @returns {Generator<Json>}
 */
function* parts(description, schema) {
  const whole = description.follow(schema);
  if (whole.properties) yield schema;
  const values = whole.additionalProperties instanceof Object ? [whole.additionalProperties] : [];
  const within = [...(whole.anyOf ?? []), ...(whole.oneOf ?? []), ...(whole.items ? [whole.items] : []), ...values];
  for (const part of within) yield* parts(description, part);
}

/**
 * @param {Description} description
 * @param {Json} schema
 * @returns {Json|null} The event's parts, where the schema is of one.
 */
function eventOf(description, schema) {
  const { properties: found } = description.follow(schema);
  return found?.event?.const && found.data?.contentSchema ? found : null;
}

/**
 * @param {Description} description
 * @param {Json[]} kinds
 */
function events(description, kinds) {
  const rows = kinds.flatMap((kind) => {
    const found = eventOf(description, kind);
    if (!found) return [];
    const data = merged(description, found.data.contentSchema);
    const about = description.follow(kind).description ?? data.description ?? "";
    const box = h(
      "details",
      { class: "inside event" },
      h("summary", {}, h("code", {}, found.event.const), h("span", {}, ...inline(about))),
    );
    box.addEventListener("toggle", () => {
      if (box.open && box.childElementCount === 1) box.append(properties(description, { properties: {}, ...data }));
    });
    return [box];
  });
  return h("div", { class: "events" }, h("p", { class: "quiet" }, "A stream of these events; the data of each is one line of JSON."), ...rows);
}
