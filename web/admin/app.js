/**
 * The operators' page: signs in, follows the live figures, and hands them to its parts.
 *
 * @module admin/app
 */

import * as calls from "./calls.js";
import { Charts } from "./charts/charts.js";
import { Live } from "./live.js";
import { Rollout } from "./rollout/panel.js";
import { listenToSignIn, showSignIn } from "./sign_in.js";
import { showStatus } from "./status.js";
import { Tiles } from "./tiles.js";
import { sentence } from "./words.js";
import { notify } from "../view/dialogs.js";
import { find } from "../view/dom.js";
import { showLink } from "../view/status.js";
import { manageTheme } from "../view/theme.js";

const desk = find("#desk", HTMLElement);
const leave = find("#sign-out", HTMLButtonElement);
const tiles = new Tiles(find("#tiles", HTMLElement));
const rollout = new Rollout(find("#rollout", HTMLElement), { announce: (text) => notify(text, 6), signedOut: close });
const charts = new Charts({
  place: find("#charts", HTMLElement),
  ranges: find("#ranges", HTMLElement),
  fault: find("#charts-fault", HTMLElement),
});

/** @type {Live|null} */
let live = null;

function open() {
  if (live) return;
  showSignIn(false);
  desk.hidden = false;
  leave.hidden = false;
  live = new Live({ onState: show, onLink: showLink, check: isStillSignedIn });
  charts.start();
}

/** @param {string} [why] */
function close(why = "") {
  live?.close();
  live = null;
  charts.stop();
  showLink("idle");
  desk.hidden = true;
  leave.hidden = true;
  showSignIn(true);
  notify(why);
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
listenToSignIn(open);
calls.session().then(
  (session) => (session.signed_in ? open() : close()),
  (error) => { showSignIn(true); notify(sentence(error)); },
);
