/**
 * The OpenAPI document as this page needs it: references followed, operations in groups.
 *
 * @module docs/description
 */

/** @typedef {Record<string, any>} Json */
/**
 * @typedef {object} Operation
 * @property {string} id
 * @property {string} method In capitals.
 * @property {string} path
 * @property {Json} told As the document has it.
 */
/** @typedef {{name: string, about: string, operations: Operation[]}} Group */

const METHODS = ["get", "post", "put", "patch", "delete"];

export class Description {
  /** @param {Json} document */
  constructor(document) {
    this.info = document.info;
    this.schemes = /** @type {Json} */ (document.components.securitySchemes);
    this.document = document;
    /** @type {Group[]} */
    this.groups = document.tags.map((/** @type {Json} */ tag) => ({
      name: tag.name,
      about: tag.description,
      operations: this.operations().filter((each) => each.told.tags.includes(tag.name)),
    }));
  }

  /** @returns {Operation[]} */
  operations() {
    const found = [];
    for (const [path, item] of Object.entries(this.document.paths)) {
      for (const method of METHODS) {
        if (!item[method]) continue;
        found.push({ id: item[method].operationId, method: method.toUpperCase(), path, told: item[method] });
      }
    }
    return found;
  }

  /**
   * @param {Json} value
   * @returns {Json} What it refers to, or itself.
   */
  follow(value) {
    if (typeof value?.$ref !== "string") return value;
    const steps = value.$ref.slice(2).split("/");
    return steps.reduce((/** @type {Json} */ place, step) => place[step], this.document);
  }
}

/**
 * @param {Json} value
 * @returns {string} The name that a reference ends with; else none.
 */
export function nameOf(value) {
  return typeof value?.$ref === "string" ? value.$ref.split("/").at(-1) ?? "" : "";
}

/**
 * @param {Operation} operation
 * @param {string} asked
 * @returns {boolean} Whether every word that is asked for is in it.
 */
export function matches(operation, asked) {
  const { summary, description, tags } = operation.told;
  const text = [operation.method, operation.path, operation.id, summary, description, ...tags].join(" ").toLowerCase();
  return asked.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}
