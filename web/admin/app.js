/**
 * The operators' page: signs in, follows the live figures, and hands them to its parts.
 *
 * @module admin/app
 */

import { Audit } from "./accounts/audit.js";
import { Users } from "./accounts/users.js";
import * as calls from "./calls.js";
import { Charts } from "./charts/charts.js";
import { Live } from "./live.js";
import { Rollout } from "./rollout/panel.js";
import { listenToSignIn, showSignIn } from "./sign_in.js";
import { showStatus } from "./status.js";
import { Tiles } from "./tiles.js";
import { sentence } from "./words.js";
import { startRenewing } from "../account/renewal.js";
import { notify } from "../view/dialogs.js";
import { find } from "../view/dom.js";
import { showLink } from "../view/status.js";
import { manageTheme } from "../view/theme.js";

const desk = find("#desk", HTMLElement);
const leave = find("#sign-out", HTMLButtonElement);
const who = find("#who", HTMLElement);
const tiles = new Tiles(find("#tiles", HTMLElement));
const rollout = new Rollout(find("#rollout", HTMLElement), { announce: (text) => notify(text, 6), signedOut: close });
const charts = new Charts({
  place: find("#charts", HTMLElement),
  ranges: find("#ranges", HTMLElement),
  fault: find("#charts-fault", HTMLElement),
});

const audit = new Audit(find("#audit", HTMLElement), { signedOut: close });
const users = new Users(find("#users", HTMLElement), {
  announce: (text) => { notify(text, 6); audit.load(); },
  signedOut: close,
  look: (user) => audit.about(user),
});

/** @type {Live|null} */
let live = null;

/** @param {calls.Session} session */
function open(session) {
  showWho(session);
  if (live) return;
  notify("");
  showSignIn(false);
  desk.hidden = false;
  leave.hidden = false;
  live = new Live({ onState: show, onLink: showLink, check: isStillSignedIn });
  charts.start();
  users.load();
  audit.load();
}

/** @param {string} [why] */
function close(why = "") {
  live?.close();
  live = null;
  charts.stop();
  showLink("idle");
  desk.hidden = true;
  leave.hidden = true;
  who.hidden = true;
  users.clear();
  audit.clear();
  showSignIn(true);
  notify(why);
}

/** @param {calls.Session} session */
function showWho({ user }) {
  who.textContent = user ? user.name || user.email : "Operators’ token";
  who.title = user ? user.email : "";
  who.hidden = false;
}

/** Somebody has proved who they are; that does not make everybody an operator. */
async function come() {
  const session = await calls.session();
  if (session.signed_in) open(session);
  else close(session.user ? `You are signed in as ${session.user.email}, who is no operator. Ask an operator, or sign in as one.` : "");
}

/** @param {import("./live.js").State} state */
function show(state) {
  showStatus(find("#status", HTMLElement), state);
  tiles.show(state);
  rollout.show(state.flags?.flags?.streaming ?? null, state.flags?.store ?? null);
}

/** @returns {Promise<boolean>} */
async function isStillSignedIn() {
  try {
    if ((await calls.session()).signed_in) return true;
    close("Your sign-in has ended. Sign in again.");
    return false;
  } catch {
    return true; // the server cannot be asked: the stream is tried again
  }
}

leave.addEventListener("click", async () => {
  try {
    await calls.signOut();
    close();
  } catch (error) {
    notify(sentence(error));
  }
});
manageTheme(find("#theme", HTMLButtonElement));
listenToSignIn(come);
startRenewing();
come().catch((error) => { showSignIn(true); notify(sentence(error)); });
