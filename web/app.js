/**
 * The chat page: puts its parts together and follows the address.
 *
 * `#/c/<conversation id>` is a conversation, anything else a new one; so the server serves one page,
 * links can be shared between tabs, and back and forward work.
 *
 * @module app
 */

import { Account } from "./account/account.js";
import { AccountMenu } from "./account/menu.js";
import { closeSignIn, openSignIn } from "./account/sign_in.js";
import { ENDED, returnSentence } from "./account/words.js";
import * as api from "./api.js";
import { OpenConversation } from "./conversation.js";
import { ProblemError, sentence } from "./problems.js";
import { draft, forgetDrafts, forgetStart, keepDraft, listen, pendingStart } from "./tabs.js";
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
import { SendPause } from "./view/send_pause.js";
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
    send: ask,
    stop: () => open.stop(),
    changed: (text) => keepDraft(shownId(), text),
  },
);
const pause = new SendPause(composer, announcer.say);
const list = new ConversationList(find("#conversations", HTMLElement), {
  failed: showFailure,
  deleted: (id) => { if (id === shownId()) location.hash = "#/"; },
  titled: (id, title) => showTitle(id, title),
});
const drawer = new Drawer(find("#side", HTMLElement), find("#open-side", HTMLButtonElement), find("#veil", HTMLElement));
const account = new Account(changeAccount);
const accountMenu = new AccountMenu(find("#account", HTMLElement), account);
let hasBegun = false;
/** @type {(greeting: string) => void} */
let greetWith = () => {};
let returnFault = takeReturnFault();

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
    failed: showFailure,
    holdBack: (refusal) => pause.begin(refusal),
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

/** @param {string} text */
function ask(text) {
  if (account.isLetIn) return open.send(text);
  composer.text = text;
  account.remind();
}

/** Who is signed out is told so once, with what to do. @param {unknown} error */
function showFailure(error) {
  if (!(error instanceof ProblemError && error.status === 401)) notify(sentence(error));
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
  const { element, greet } = welcome((question) => { if (!composer.isBusy) ask(question); });
  pane.showInstead(element);
  greetWith = greet;
  if (hasBegun && account.isLetIn) greetAsChatbot();
}

function greetAsChatbot() {
  const greet = greetWith;
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
  if (news.type === "account.changed") return void account.load().catch(showFailure);
  if (news.type === "account.left") return void account.left().catch(showFailure);
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
  if (!start || open.isBusy) return;
  if ((start.body.conversation_id ?? "") === shownId()) await open.repeat(start);
  else forgetStart();
}

/**
 * @param {import("./account/account.js").State} now
 * @param {import("./account/account.js").State} before
 */
function changeAccount(now, before) {
  accountMenu.draw(now);
  if (now.status === "ended") {
    if (!hasBegun && !before.user) openSignIn(account, { why: returnFault || ENDED });
    notify(ENDED, 0, { label: "Sign in", press: () => openSignIn(account, { why: ENDED }) });
  } else if (now.status === "nobody") {
    // Said again it must not take away what is being typed.
    if (before.status !== "nobody") openSignIn(account, { isNeeded: true, why: returnFault });
  } else if (now.user?.user_id !== before.user?.user_id) {
    changeOwner(now, before);
  } else if (before.status === "ended" && now.user) {
    comeBack();
  }
}

/** Signed in again: what is on the screen was theirs all the time. */
function comeBack() {
  notify("");
  closeSignIn();
  list.load();
  if (open.hasLostSight && open.id) open.load();
}

/**
 * Conversations are another's from here on. What a guest has not sent yet comes along into their
 * account; what a user has not sent is nobody else's.
 *
 * @param {import("./account/account.js").State} now
 * @param {import("./account/account.js").State} before
 */
function changeOwner(now, before) {
  if (!hasBegun) return void begin();
  // All was put away when they left; or it could not be asked before who they are.
  if (before.status === "unknown") return void list.load();
  pause.end();
  closeSignIn();
  const text = before.status === "user" || before.status === "ended" ? "" : composer.text;
  forgetDrafts();
  forgetStart();
  keepDraft("", text);
  if (open.id) history.replaceState(null, "", "#/");
  list.clear();
  if (now.user) list.load();
  show();
}

/** It is known who asks, or it cannot be known: then the calls themselves say what is wrong. */
async function begin() {
  hasBegun = true;
  closeSignIn();
  notify("");
  list.load();
  preference.load();
  sayReturnFault();
  if (idInAddress()) await show();
  else greetAsChatbot();
  await repeatPendingStart();
}

function sayReturnFault() {
  if (!returnFault) return;
  notify(returnFault, 0, { label: "Sign in", press: () => openSignIn(account) });
  returnFault = "";
}

/** A provider that did not let somebody in sends them here with a code; a reload need not say it again. */
function takeReturnFault() {
  const code = new URLSearchParams(location.search).get("sign_in_error");
  if (code === null) return "";
  history.replaceState(null, "", location.pathname + location.hash);
  return returnSentence(code);
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
window.addEventListener("online", () => {
  if (!preference.voices.length) preference.load();
  if (account.state.status === "unknown") account.load().catch(() => {});
});
window.addEventListener("online", () => showLink(composer.isBusy ? "reconnecting" : "idle"));
if (!idInAddress()) show();
account.load().catch(begin);
