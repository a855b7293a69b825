/**
 * The list at the side: newest first, page by page; rename, delete.
 *
 * @module view/conversations
 */

import * as api from "../api.js";
import { tell } from "../tabs.js";
import { h, iconButton } from "./dom.js";
import { confirm } from "./dialogs.js";

const PAGE = 30;
const LONGEST_TITLE = 200;

/** @typedef {{conversation_id: string, title: string, updated_at: string}} Conversation */

/**
 * @typedef {object} ListActions
 * @property {(error: unknown) => void} failed
 * @property {(id: string) => void} deleted
 * @property {(id: string, title: string) => void} titled
 */

/** The user's conversations. */
export class ConversationList {
  /** @type {Map<string, Conversation>} */
  #known = new Map();
  /** @type {string|null} */
  #next = null;
  #current = "";

  /** @param {HTMLElement} root @param {ListActions} actions */
  constructor(root, actions) {
    this.root = root;
    this.actions = actions;
  }

  /** @param {string} id Empty for a new conversation. */
  setCurrent(id) {
    this.#current = id;
    for (const row of this.root.querySelectorAll("[data-id]")) this.#mark(row);
    const known = this.#known.get(id);
    if (known || !id) this.actions.titled(id, known?.title ?? "");
  }

  /** Load the first page. */
  async load() {
    await this.#loadPage(null);
  }

  /** Somebody else is signed in. */
  clear() {
    this.#known.clear();
    this.#next = null;
    this.#draw();
  }

  /** @param {string} id Read one conversation again: it is new, or changed. */
  async refresh(id) {
    try {
      this.#learn(await api.conversation(id));
    } catch (error) {
      if (isGone(error)) this.remove(id);
    }
  }

  /** @param {string} id */
  remove(id) {
    this.#known.delete(id);
    this.#draw();
  }

  /** @param {Conversation} conversation */
  #learn(conversation) {
    this.#known.set(conversation.conversation_id, conversation);
    if (conversation.conversation_id === this.#current) {
      this.actions.titled(this.#current, conversation.title);
    }
    this.#draw();
  }

  /** @param {string|null} cursor */
  async #loadPage(cursor) {
    try {
      const page = await api.conversations(cursor, PAGE);
      this.#next = page.next;
      for (const conversation of page.conversations) this.#known.set(conversation.conversation_id, conversation);
      this.#draw();
      this.setCurrent(this.#current);
    } catch (error) {
      this.actions.failed(error);
    }
  }

  #draw() {
    if (this.root.querySelector("input")) return;
    const newestFirst = [...this.#known.values()].sort((a, b) => (a.updated_at < b.updated_at ? 1 : -1));
    const groups = Map.groupBy(newestFirst, (conversation) => period(conversation.updated_at));
    const lists = [...groups].map(([label, rows]) =>
      h("section", { "aria-label": label }, h("h2", {}, label), h("ul", {}, ...rows.map((row) => this.#row(row)))));
    const focused = document.activeElement?.closest("[data-id]")?.getAttribute("data-id");
    this.root.replaceChildren(...lists, this.#foot());
    if (focused) this.#row$(focused)?.querySelector("a")?.focus();
  }

  /** @param {string} id @returns {Element|null} */
  #row$(id) {
    return this.root.querySelector(`[data-id="${CSS.escape(id)}"]`);
  }

  #foot() {
    if (this.#next) {
      return h("button", { type: "button", class: "text-button", on: { click: () => this.#loadPage(this.#next) } }, "Show more");
    }
    return h("p", { class: "list-empty" }, this.#known.size ? "" : "Your conversations will appear here.");
  }

  /** @param {Conversation} conversation */
  #row(conversation) {
    const id = conversation.conversation_id;
    const row = h("li", { "data-id": id },
      h("a", { href: `#/c/${encodeURIComponent(id)}`, title: conversation.title }, conversation.title || "New conversation"),
      h("span", { class: "row-actions" },
        iconButton("rename", `Rename “${conversation.title}”`, () => this.#rename(conversation)),
        iconButton("delete", `Delete “${conversation.title}”`, () => this.#delete(conversation))));
    this.#mark(row);
    return row;
  }

  /** @param {Element} row */
  #mark(row) {
    const link = row.querySelector("a");
    if (row.getAttribute("data-id") === this.#current) link?.setAttribute("aria-current", "page");
    else link?.removeAttribute("aria-current");
  }

  /** @param {Conversation} conversation */
  #rename(conversation) {
    const input = h("input", { class: "rename", value: conversation.title, maxLength: LONGEST_TITLE, "aria-label": "New title" });
    let isDone = false;
    const done = (/** @type {boolean} */ isWanted) => {
      if (isDone) return;
      isDone = true;
      const title = input.value.trim();
      input.remove();
      if (isWanted && title && title !== conversation.title) this.#saveTitle(conversation, title);
      this.#draw();
      this.#row$(conversation.conversation_id)?.querySelector("a")?.focus();
    };
    input.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.isComposing) done(true);
      if (event.key === "Escape") done(false);
      event.stopPropagation();
    });
    input.addEventListener("blur", () => done(true));
    this.#row$(conversation.conversation_id)?.replaceChildren(input);
    input.select();
  }

  /** @param {Conversation} conversation @param {string} title */
  async #saveTitle(conversation, title) {
    const id = conversation.conversation_id;
    this.#learn({ ...conversation, title });
    try {
      await api.renameConversation(id, title);
      tell({ type: "conversations.changed", conversationId: id });
    } catch (error) {
      this.#learn(conversation);
      this.actions.failed(error);
    }
  }

  /** @param {Conversation} conversation */
  async #delete(conversation) {
    const id = conversation.conversation_id;
    const isSure = await confirm(
      "Delete this conversation?",
      `“${conversation.title}” and all its messages will be gone. This cannot be undone.`,
      "Delete",
    );
    if (!isSure) return;
    try {
      await api.deleteConversation(id);
    } catch (error) {
      if (!isGone(error)) return this.actions.failed(error);
    }
    this.remove(id);
    tell({ type: "conversation.deleted", conversationId: id });
    this.actions.deleted(id);
  }
}

/** @param {unknown} error */
const isGone = (error) => /** @type {any} */ (error)?.status === 404;

const DAY_MS = 86_400_000;

/** @param {string} at ISO 8601. @returns {string} */
function period(at) {
  const midnight = new Date().setHours(0, 0, 0, 0);
  const age = midnight - Date.parse(at);
  if (age <= 0) return "Today";
  if (age <= DAY_MS) return "Yesterday";
  if (age <= 7 * DAY_MS) return "Last 7 days";
  return age <= 30 * DAY_MS ? "Last 30 days" : "Older";
}
