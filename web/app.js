/**
 * The chat page: puts its parts together and follows the address.
 *
 * `#/c/<conversation id>` is a conversation, anything else a new one; so the server serves one page,
 * links can be shared between tabs, and back and forward work.
 *
 * @module app
 */

import * as api from "./api.js";
import { OpenConversation } from "./conversation.js";
import { sentence } from "./problems.js";
import { draft, keepDraft, listen, pendingStart, forgetStart } from "./tabs.js";
import { Preference } from "./speech/preference.js";
import { Sound } from "./speech/sound.js";
import { Speaking } from "./speech/speaking.js";
import { Announcer } from "./view/announcer.js";
import { Composer } from "./view/composer.js";
import { ConversationList } from "./view/conversations.js";
import { notify } from "./view/dialogs.js";
import { find } from "./view/dom.js";
import { Drawer } from "./view/drawer.js";
import { listenToKeys } from "./view/shortcuts.js";
import { SpeechChoice } from "./view/speech_choice.js";
import { showLink } from "./view/status.js";
import { manageTheme } from "./view/theme.js";
import { Pane } from "./view/messages/pane.js";
import { welcome } from "./view/messages/welcome.js";

const NAME = "Chatstream";

const announcer = new Announcer(find("#announcer", HTMLElement));
const pane = new Pane(
  {
    scroller: find("#messages", HTMLElement),
    column: find("#column", HTMLElement),
    jump: find("#jump", HTMLElement),
  },
  announcer.say,
);
const sound = new Sound();
const speaking = new Speaking(sound);
const preference = new Preference();
const speechChoice = new SpeechChoice(
  {
    toggle: find("#speak", HTMLButtonElement),
    field: find("#voice-field", HTMLElement),
    select: find("#voice", HTMLSelectElement),
  },
  preference,
  { switched: (isOn) => (isOn ? sound.unlock() : open.stopSpeech()) },
);
const composer = new Composer(
  {
    form: find("#composer", HTMLElement),
    box: find("#box", HTMLTextAreaElement),
    button: find("#send", HTMLButtonElement),
    counter: find("#counter", HTMLElement),
  },
  {
    send: (text) => open.send(text),
    stop: () => open.stop(),
    changed: (text) => keepDraft(shownId(), text),
  },
);
const list = new ConversationList(find("#conversations", HTMLElement), {
  failed: (error) => notify(sentence(error)),
  deleted: (id) => { if (id === shownId()) location.hash = "#/"; },
  titled: (id, title) => showTitle(id, title),
});
const drawer = new Drawer(find("#side", HTMLElement), find("#open-side", HTMLButtonElement), find("#veil", HTMLElement));

/** @type {OpenConversation} */
let open = openConversation(idInAddress());

/** @returns {string} Empty for a new conversation. */
function idInAddress() {
  const match = /^#\/c\/([^/?]+)/.exec(location.hash);
  return match ? decodeURIComponent(match[1]) : "";
}

/** @returns {string} Empty for a new conversation. */
function shownId() {
  return open.id;
}

/** @param {string} id */
function openConversation(id) {
  return new OpenConversation(id, {
    pane,
    composer,
    speaking,
    preference,
    announce: announcer.say,
    notify,
    setLink: showLink,
    created: (newId) => {
      keepDraft("", "");
      history.replaceState(null, "", `#/c/${encodeURIComponent(newId)}`);
      list.setCurrent(newId);
      list.refresh(newId);
    },
    changed: (changedId) => list.refresh(changedId),
    emptied: showWelcome,
    isMissing: () => {
      list.remove(id);
      location.hash = "#/";
      notify("That conversation is no longer there. It may have been deleted.", 8);
    },
  });
}

async function show() {
  const id = idInAddress();
  if (id && id === open.id && pane.exchanges.length) return;
  open.close();
  open = openConversation(id);
  notify("");
  showLink("idle");
  composer.setBusy(false);
  composer.text = draft(id);
  drawer.close();
  list.setCurrent(id);
  pane.clear();
  // On a phone the keyboard would cover what is to be read.
  if (!matchMedia("(pointer: coarse)").matches) composer.focus();
  if (id) await open.load();
  else showWelcome();
}

function showWelcome() {
  showTitle("", "");
  const { element, greet } = welcome((question) => { if (!composer.isBusy) open.send(question); });
  pane.showInstead(element);
  api.chatbot("default").then((bot) => greet(bot.greeting ?? ""), () => {});
}

/** @param {string} id @param {string} title */
function showTitle(id, title) {
  if (id !== shownId()) return;
  const words = title || (id ? "Conversation" : "New conversation");
  find("#title", HTMLElement).textContent = words;
  document.title = title ? `${title} – ${NAME}` : NAME;
}

/** @param {import("./tabs.js").TabNews} news */
function hear(news) {
  if (news.type === "speech.begun") return speaking.stop();
  if (news.type === "conversation.deleted") {
    list.remove(news.conversationId);
    if (news.conversationId === shownId()) location.hash = "#/";
    return;
  }
  list.refresh(news.conversationId);
  if (news.type === "turn.begun" && news.conversationId === shownId() && !open.isBusy) open.load();
}

/** A start that a reload cut off is sent again: the server knows its key and bills it once. */
async function repeatPendingStart() {
  const start = pendingStart();
  if (!start) return;
  if ((start.body.conversation_id ?? "") === shownId()) await open.repeat(start);
  else forgetStart();
}

manageTheme(find("#theme", HTMLButtonElement));
listenToKeys({
  stop: () => (composer.isBusy ? open.stop() : open.stopSpeech()),
  isBusy: () => composer.isBusy || speaking.isActive,
  speak: () => speechChoice.switch(),
  write: () => composer.focus(),
  begin: () => { location.hash = "#/"; composer.focus(); },
});
listen(hear);
window.addEventListener("hashchange", show);
window.addEventListener("offline", () => showLink("offline"));
window.addEventListener("online", () => { if (!preference.voices.length) preference.load(); });
window.addEventListener("online", () => showLink(composer.isBusy ? "reconnecting" : "idle"));
list.load();
preference.load();
show().then(repeatPendingStart);
