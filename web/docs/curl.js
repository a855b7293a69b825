/**
 * How an operation is called from a shell.
 *
 * @module docs/curl
 */

/** @typedef {import("./description.js").Json} Json */
/** @typedef {import("./description.js").Operation} Operation */
/** @typedef {import("./description.js").Description} Description */

const BEARERS = /** @type {Record<string, string>} */ ({
  operators_token: "$ADMIN_TOKEN",
  access_token: "$ACCESS_TOKEN",
});

/**
 * @param {Description} description
 * @param {Operation} operation
 * @param {string} origin Such as `http://localhost:8000`.
 * @returns {string}
 */
export function curl(description, operation, origin) {
  const { told } = operation;
  const streams = JSON.stringify(told.responses["200"]?.content ?? {}).includes("text/event-stream");
  const path = operation.path.replace(/\{(\w+)\}/g, "$$$1").replaceAll("$", "$");
  const parts = [`curl ${streams ? "-N " : ""}${proof(told.security)}${quoted(`${origin}${path}${query(told)}`)}`];
  if (operation.method !== "GET") parts[0] = parts[0].replace("curl ", `curl -X ${operation.method} `);
  if (streams && operation.method === "POST") parts.push("-H 'Accept: text/event-stream'");
  const body = told.requestBody?.content["application/json"];
  if (body) {
    parts.push("-H 'Content-Type: application/json'");
    const sent = JSON.stringify(body.example ?? sample(description, body.schema));
    parts.push(`-d '${sent.replaceAll("'", "'\\''")}'`);
  }
  return parts.join(" \\\n  ");
}

/** @param {Json} told */
function query(told) {
  const required = (told.parameters ?? []).filter((/** @type {Json} */ each) => each.in === "query" && each.required);
  return required.map((/** @type {Json} */ each, /** @type {number} */ at) => `${at ? "&" : "?"}${each.name}=$${each.name}`).join("");
}

/** @param {Json[]} security */
function proof(security) {
  const names = security.flatMap((each) => Object.keys(each));
  if (names.includes("guest")) return "-c jar -b jar ";
  const bearer = names.includes("operators_token") ? "operators_token" : names.find((name) => BEARERS[name]);
  return bearer ? `-H "Authorization: Bearer ${BEARERS[bearer]}" ` : "";
}

/** @param {string} address */
function quoted(address) {
  return /[$&?]/.test(address) ? `"${address}"` : address;
}

/**
 * @param {Description} description
 * @param {Json} schema
 * @param {number} [depth]
 * @returns {unknown} Something that the schema may take; only what it asks for.
 */
export function sample(description, schema, depth = 0) {
  const whole = description.follow(schema);
  if (whole.const !== undefined) return whole.const;
  if (whole.default !== undefined) return whole.default;
  if (whole.enum) return whole.enum[0];
  const choice = (whole.anyOf ?? whole.oneOf)?.[0];
  if (choice) return sample(description, choice, depth);
  if (whole.properties && depth < 4) {
    const wanted = Object.keys(whole.properties).filter((name) => whole.required?.includes(name));
    return Object.fromEntries(wanted.map((name) => [name, sample(description, whole.properties[name], depth + 1)]));
  }
  return { string: "…", integer: whole.minimum ?? 0, number: whole.minimum ?? 0, boolean: true, array: [], object: {} }[String(whole.type)] ?? null;
}
