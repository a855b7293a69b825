/**
 * The API's description for people: reads `/openapi.json`, lists its operations, finds them.
 *
 * @module docs/app
 */

import { find, h } from "../view/dom.js";
import { manageTheme } from "../view/theme.js";
import { Description, matches } from "./description.js";
import { operationView } from "./operation.js";
import { paragraphs } from "./words.js";

const state = find("#state", HTMLElement);
const search = find("#search", HTMLInputElement);
const contents = find("#contents", HTMLElement);
const groups = find("#groups", HTMLElement);

/** @param {Description} description */
function show(description) {
  find("#version", HTMLElement).textContent = description.info.version;
  find("#introduction", HTMLElement).replaceChildren(...paragraphs(description.info.description));
  groups.replaceChildren(...description.groups.map((group) => h(
    "section",
    { class: "group", "aria-label": group.name },
    h("h2", {}, group.name),
    h("p", { class: "quiet" }, group.about),
    ...group.operations.map((each) => operationView(description, each)),
  )));
  contents.replaceChildren(...description.groups.map((group) => h(
    "section",
    { class: "contents-group" },
    h("h2", {}, group.name),
    h("ul", {}, ...group.operations.map((each) => h(
      "li",
      { "data-operation": each.id },
      h("a", { href: `#${each.id}`, title: `${each.method} ${each.path}` },
        h("span", { class: "method", "data-method": each.method }, each.method), h("span", {}, each.told.summary)),
    ))),
  )));
}

/** @param {Description} description */
function filter(description) {
  const asked = search.value.trim();
  let count = 0;
  for (const operation of description.operations()) {
    const isFound = asked === "" || matches(operation, asked);
    if (isFound) count += 1;
    for (const place of [document.getElementById(operation.id), contents.querySelector(`[data-operation="${operation.id}"]`)]) {
      if (place instanceof HTMLElement) place.hidden = !isFound;
    }
  }
  for (const group of document.querySelectorAll(".group, .contents-group")) {
    if (group instanceof HTMLElement) group.hidden = !group.querySelector(".operation:not([hidden]), li:not([hidden])");
  }
  find("#introduction", HTMLElement).hidden = asked !== "";
  state.textContent = asked === "" ? "" : `${count} ${count === 1 ? "operation" : "operations"} found`;
}

function open() {
  const chosen = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!(chosen instanceof HTMLDetailsElement)) return;
  chosen.open = true;
  chosen.scrollIntoView({ block: "start" });
  for (const link of contents.querySelectorAll("a")) {
    if (link.hash === location.hash) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
}

async function start() {
  const answer = await fetch("/openapi.json");
  if (!answer.ok) throw new Error(String(answer.status));
  const description = new Description(await answer.json());
  show(description);
  search.addEventListener("input", () => filter(description));
  filter(description);
  open();
  addEventListener("hashchange", open);
}

addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target instanceof HTMLInputElement) return;
  event.preventDefault();
  search.focus();
});
manageTheme(find("#theme", HTMLButtonElement));
start().catch(() => {
  state.textContent = "The description could not be read. Reload the page to try again.";
});
