/**
 * The dialog with one's API keys: made, shown once, revoked.
 *
 * @module account/keys
 */

import { h } from "../view/dom.js";
import * as calls from "./calls.js";
import { field, formOf, openDialog } from "./forms.js";
import { rowsOf } from "./rows.js";
import { when } from "./words.js";

const LONGEST_NAME = 100;
/** What a key may be for, with the role that may give it. */
const SCOPES = /** @type {const} */ ([
  { scope: "chat", words: "Chat as you", isAdmins: false },
  { scope: "metrics", words: "Read metrics", isAdmins: true },
  { scope: "flags", words: "Read flags", isAdmins: true },
  { scope: "ofrep", words: "Evaluate flags", isAdmins: true },
]);
const LIVES = [{ days: 30, words: "30 days" }, { days: 90, words: "90 days" }, { days: 365, words: "One year" }, { days: 0, words: "No end" }];

/** @param {import("./account.js").State} state */
export function openKeys({ user }) {
  const rows = rowsOf(async () => (await calls.apiKeys()).map(row), "You have no keys.");
  const made = h("div", { class: "made-key", hidden: true });
  const name = field("name", "Name", { type: "text", required: true, maxLength: LONGEST_NAME, autocomplete: "off" }, "What will use it, such as “nightly report”.");
  const scopes = scopeBoxes(user?.role === "admin");
  const life = h("select", { id: "key-life" }, ...LIVES.map(({ days, words }) => h("option", { value: String(days) }, words)));
  life.value = "90";
  const form = formOf([name], "Create key", async () => {
    const days = Number(life.value) || null;
    const { key } = await calls.createApiKey(name.input.value, chosen(scopes), days);
    show(made, key);
    name.input.value = "";
    await rows.reload();
  }, [scopes, h("div", { class: "field" }, h("label", { for: "key-life" }, "Good for"), life)]);
  openDialog("API keys", [
    h("p", {}, "For programs of yours: they send it as ", h("code", {}, "Authorization: Bearer"), "."), made, rows.element,
    h("details", { class: "new-key" }, h("summary", {}, "New key"), form),
  ]);
}

/** @param {boolean} isAdmin */
function scopeBoxes(isAdmin) {
  const offered = SCOPES.filter(({ isAdmins }) => isAdmin || !isAdmins);
  const boxes = offered.map(({ scope, words }) => h("label", { class: "check" },
    h("input", { type: "checkbox", value: scope, checked: scope === "chat" }), words));
  return h("fieldset", { class: "field", hidden: offered.length === 1 }, h("legend", {}, "It may"), ...boxes);
}

/** @param {HTMLElement} scopes */
function chosen(scopes) {
  return [...scopes.querySelectorAll("input")].filter((box) => box.checked).map((box) => box.value);
}

/** @param {HTMLElement} place @param {string} key */
function show(place, key) {
  const box = h("input", { type: "text", readOnly: true, value: key, "aria-label": "The new key", spellcheck: false });
  const copy = h("button", { type: "button", class: "button" }, "Copy");
  copy.addEventListener("click", async () => {
    box.select();
    try {
      await navigator.clipboard.writeText(key);
      copy.textContent = "Copied";
    } catch {
      copy.textContent = "Press Ctrl+C"; // no clipboard on plain http; it is selected
    }
  });
  place.replaceChildren(
    h("p", { role: "status" }, "Copy this key now: it is shown this once."), h("div", { class: "key-box" }, box, copy));
  place.hidden = false;
  box.select();
  box.focus();
}

/** @param {import("./calls.js").ApiKey} key @returns {import("./rows.js").Row} */
function row(key) {
  const end = key.expires_at ? `until ${when(key.expires_at)}` : "no end";
  const use = key.last_used_at ? `used ${when(key.last_used_at)}` : "never used";
  const told = { title: key.name || key.key_id, details: [key.scopes.join(", "), end, use].join(" · "), tooltip: key.key_id };
  if (key.revoked_at) return { ...told, mark: "Revoked" };
  return { ...told, action: "Revoke", press: () => calls.revokeApiKey(key.key_id) };
}
