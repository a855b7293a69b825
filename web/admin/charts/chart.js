/**
 * One chart: the lines, a legend that tells the figures under the pointer, and the same as a table.
 *
 * @module admin/charts/chart
 */

import uPlot from "../../vendor/uplot.js";
import { h } from "../../view/dom.js";
import { columns, rows, summary } from "./history.js";

const HEIGHT = 190;
const DASHES = { solid: [], dashed: [6, 4], dotted: [2, 3] };
/** @type {Record<string, number>} */
const SPAN_S = { "1h": 3600, "6h": 21_600, "24h": 86_400, "7d": 604_800, "30d": 2_592_000 };
const SYNC = "desk";
/** Between two labels of the time axis: shorter ones would repeat the minute. */
const WHOLE_STEPS_S = [1, 5, 10, 15, 30, 60, 180, 360, 720, 1440, 2880, 7200, 14_400].map((minutes) => minutes * 60);

/** @typedef {import("./history.js").ChartSpec} ChartSpec */
/** @typedef {import("./history.js").History} History */

export class Chart {
  /** @type {uPlot|null} */
  #plot = null;
  /** @type {(number|null)[][]} */
  #data = [[]];
  #range = "";

  /** @param {ChartSpec} spec */
  constructor(spec) {
    this.spec = spec;
    this.figures = spec.series.map(() => h("b", {}));
    this.plot = h("div", { class: "plot", "aria-hidden": "true" });
    this.nothing = h("p", { class: "nothing" }, "No data in this range yet.");
    this.said = h("p", { class: "unseen" });
    this.table = h("div", { class: "table-wrap", tabIndex: 0, role: "region", "aria-label": `${spec.name}, as a table` });
    this.details = h("details", { class: "as-table", on: { toggle: () => this.#fillTable() } },
      h("summary", {}, "As a table"), this.table);
    const legend = h("ul", { class: "legend" }, ...spec.series.map((each, index) =>
      h("li", {}, h("i", { class: `swatch ${each.line}`, "data-colour": each.colour, "aria-hidden": "true" }),
        `${each.name} `, this.figures[index])));
    this.element = h("figure", { class: "card chart" },
      h("figcaption", {}, h("h3", {}, spec.name), h("p", {}, spec.about)),
      legend, h("div", { class: "plot-place" }, this.plot, this.nothing), this.said, this.details);
    new ResizeObserver(() => this.#fit()).observe(this.plot);
  }

  /** @param {History} history */
  show(history) {
    this.#data = columns(this.spec, history);
    const isNewRange = history.range !== this.#range;
    this.#range = history.range;
    const isEmpty = this.#data.slice(1).every((column) => column.every((value) => value === null));
    this.nothing.hidden = !isEmpty;
    if (this.#plot && !isNewRange) this.#plot.setData(this.#data);
    else this.draw();
    this.said.textContent = summary(this.spec, this.#data);
    this.#tell(null);
    this.#fillTable();
  }

  /** Draw anew, also after the colours have changed. */
  draw() {
    this.#plot?.destroy();
    this.#plot = null;
    if (!this.plot.clientWidth || !this.#data[0].length) return;
    this.#plot = new uPlot(this.#options(), this.#data, this.plot);
  }

  #options() {
    const colour = (/** @type {string} */ name) => resolved(this.plot, `var(--${name})`);
    const axis = {
      stroke: colour("ink-soft"),
      grid: { stroke: colour("line"), width: 1 },
      ticks: { show: false },
      font: "11px system-ui, sans-serif",
    };
    return {
      width: this.plot.clientWidth,
      height: HEIGHT,
      legend: { show: false },
      padding: [8, 20, 0, 0],
      cursor: { sync: { key: SYNC }, drag: { x: false, y: false }, points: { size: 7 }, y: false },
      scales: {
        // All of the range, also where the service is younger than that.
        x: { range: () => [Date.now() / 1000 - SPAN_S[this.#range], Date.now() / 1000] },
        y: { range: (/** @type {unknown} */ _, /** @type {number} */ __, /** @type {number|null} */ high) => [0, Math.max(this.spec.least, (high ?? 0) * 1.08)] },
      },
      axes: [
        { ...axis, size: 26, space: 64, incrs: WHOLE_STEPS_S, values: (/** @type {unknown} */ _, /** @type {number[]} */ at) => at.map((each) => clock(each, this.#range)) },
        { ...axis, size: 54, space: 34, values: (/** @type {unknown} */ _, /** @type {number[]} */ at) => at.map((value) => this.spec.shown(value)) },
      ],
      series: [
        {},
        ...this.spec.series.map((each) => ({
          label: each.name,
          stroke: colour(`line-${each.colour}`),
          width: 1.75,
          dash: DASHES[each.line],
          points: { show: (/** @type {uPlot} */ _, /** @type {number} */ index) => isSparse(this.#data[index]), size: 5, fill: colour(`line-${each.colour}`) },
        })),
      ],
      hooks: { setCursor: [(/** @type {uPlot} */ plot) => this.#tell(plot.cursor.idx ?? null)] },
    };
  }

  #fit() {
    const width = this.plot.clientWidth;
    if (this.#plot && width) this.#plot.setSize({ width, height: HEIGHT });
    else if (width) this.draw();
  }

  /** @param {number|null} index Under the pointer; null tells the newest figures. */
  #tell(index) {
    this.figures.forEach((figure, each) => {
      const column = this.#data[each + 1] ?? [];
      const value = index === null ? column.findLast((one) => one !== null) : column[index];
      figure.textContent = this.spec.shown(value);
    });
  }

  #fillTable() {
    if (!this.details.open) return;
    const head = ["Time", ...this.spec.series.map(({ name }) => name)];
    this.table.replaceChildren(h("table", {},
      h("thead", {}, h("tr", {}, ...head.map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, ...rows(this.spec, this.#data).map(({ at, values }) =>
        h("tr", {}, h("th", { scope: "row" }, clock(at, "table")), ...values.map((value) => h("td", {}, value)))))));
  }
}

/** Points that stand alone have no line to be seen by. @param {(number|null)[]} column */
function isSparse(column) {
  return column.filter((value) => value !== null).length < 12;
}

/** @param {number} seconds @param {string} range */
function clock(seconds, range) {
  const at = new Date(seconds * 1000);
  const day = at.toLocaleDateString("en-GB", { day: "numeric", month: "short" });
  const time = at.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  if (range === "table") return `${day}, ${time}`;
  const isMidnight = at.getHours() === 0 && at.getMinutes() === 0;
  return ["7d", "30d"].includes(range) || isMidnight ? day : time;
}

/** A canvas knows no variables. @param {HTMLElement} element @param {string} colour */
function resolved(element, colour) {
  element.style.color = colour;
  const found = getComputedStyle(element).color;
  element.style.color = "";
  return found;
}
