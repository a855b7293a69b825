/**
 * The figures of the moment, each with the last two minutes behind it.
 *
 * @module admin/tiles
 */

import { count, decimal, isKnown, milliseconds, percent } from "./words.js";
import { h } from "../view/dom.js";

const SVG = "http://www.w3.org/2000/svg";
/** States come once a second. */
const KEPT = 120;
const WIDTH = 120;
const HEIGHT = 28;

/** @typedef {import("./live.js").State} State */

/**
 * @typedef {object} Tile
 * @property {string} name
 * @property {(state: State) => number|null|undefined} figure
 * @property {(value: number|null|undefined) => string} shown
 * @property {(state: State) => string} beside
 * @property {string} [check]  The check of streaming's health that judges it.
 */

const latency = (/** @type {State} */ state, /** @type {string} */ name) => state.streaming?.metrics?.latency?.[name] ?? {};
const streams = (/** @type {State} */ state) => state.streaming?.metrics?.streams ?? {};
const speech = (/** @type {State} */ state) => state.streaming?.metrics?.cache?.tts ?? {};

/** @type {Tile[]} */
const TILES = [
  {
    name: "Active turns", shown: count,
    figure: (state) => streams(state).active,
    beside: (state) => `${count(streams(state).started)} started in ${span(state)}`,
  },
  {
    name: "Readers", shown: count,
    figure: (state) => streams(state).readers,
    beside: (state) => `${count(state.streaming?.metrics?.readers?.page_reconnects)} pages reconnected`,
  },
  {
    name: "Error rate", shown: percent, check: "error_rate",
    figure: (state) => state.summary?.error_rate,
    beside: (state) => {
      const arms = state.summary?.arms ?? {};
      return `on ${percent(arms.on?.error_rate)} · off ${percent(arms.off?.error_rate)}`;
    },
  },
  {
    name: "First token, p50", shown: milliseconds, check: "time_to_first_token_s",
    figure: (state) => latency(state, "ttft_ms").p50,
    beside: (state) => `p95 ${milliseconds(latency(state, "ttft_ms").p95)}`,
  },
  {
    name: "Token gap, p95", shown: milliseconds,
    figure: (state) => latency(state, "inter_token_ms").p95,
    beside: (state) => `p50 ${milliseconds(latency(state, "inter_token_ms").p50)}`,
  },
  {
    name: "Tokens/s in an answer", shown: (value) => decimal(value, value && value >= 100 ? 0 : 1),
    figure: (state) => state.streaming?.metrics?.tokens?.output_per_s,
    beside: (state) => `${count(state.streaming?.metrics?.tokens?.output)} in ${span(state)}`,
  },
  {
    name: "Speech from cache", shown: percent,
    figure: (state) => speech(state).hitRate,
    beside: (state) => `${count(speech(state).hits)} hits, ${count(speech(state).misses)} misses`,
  },
  {
    name: "Event loop lag, p95", shown: milliseconds, check: "event_loop_lag_s",
    figure: (state) => latency(state, "event_loop_lag_ms").p95,
    beside: (state) => `p99 ${milliseconds(latency(state, "event_loop_lag_ms").p99)}`,
  },
];

/** @param {State} state */
function span(state) {
  const seconds = state.streaming?.window_s;
  return isKnown(seconds) ? `${Math.round(seconds / 60)} min` : "the window";
}

/** Shows the tiles; each keeps its last values, no more than two minutes of them. */
export class Tiles {
  /** @param {HTMLElement} place */
  constructor(place) {
    this.tiles = TILES.map((tile) => new TileView(tile));
    place.replaceChildren(...this.tiles.map((view) => view.element));
  }

  /** @param {State} state */
  show(state) {
    for (const tile of this.tiles) tile.show(state);
  }
}

class TileView {
  /** @type {(number|null)[]} */
  #values = [];

  /** @param {Tile} tile */
  constructor(tile) {
    this.tile = tile;
    this.figure = h("p", { class: "figure" }, "–");
    this.beside = h("p", { class: "beside" });
    this.line = document.createElementNS(SVG, "path");
    const chart = document.createElementNS(SVG, "svg");
    chart.setAttribute("class", "spark");
    chart.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    chart.setAttribute("preserveAspectRatio", "none");
    chart.setAttribute("aria-hidden", "true");
    chart.append(this.line);
    this.element = h("li", { class: "tile" }, h("h2", {}, tile.name), this.figure, this.beside);
    this.element.append(chart);
  }

  /** @param {State} state */
  show(state) {
    const value = this.tile.figure(state);
    const status = this.tile.check && state.streaming_health?.checks?.[this.tile.check]?.status;
    this.element.dataset.tone = status || "healthy";
    setText(this.figure, this.tile.shown(value));
    setText(this.beside, this.tile.beside(state));
    this.#values.push(isKnown(value) ? value : null);
    if (this.#values.length > KEPT) this.#values.shift();
    this.line.setAttribute("d", path(this.#values));
  }
}

/**
 * @param {(number|null)[]} values The newest last; it is drawn at the right edge.
 * @returns {string} SVG path data; what is not known is left out.
 */
export function path(values) {
  const known = values.filter((value) => value !== null);
  const top = Math.max(...known, 0) || 1;
  let pen = "M";
  let drawn = "";
  values.forEach((value, index) => {
    if (value === null) { pen = "M"; return; }
    const x = WIDTH - (values.length - 1 - index) * (WIDTH / (KEPT - 1));
    drawn += `${pen}${x.toFixed(1)} ${(HEIGHT - 2 - (value / top) * (HEIGHT - 4)).toFixed(1)}`;
    pen = "L";
  });
  return drawn;
}

/** @param {HTMLElement} element @param {string} text */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
