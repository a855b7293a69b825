/**
 * What the charts show: which series of the history, in which unit, in which colour. Pure.
 *
 * @module admin/charts/history
 */

import { count, isKnown, milliseconds, NOTHING, percent } from "../words.js";

/** @typedef {{started?: number, completed?: number, failed?: number, cancelled?: number, interrupted?: number}} Turns */
/** @typedef {{p50?: number|null, p95?: number|null, p99?: number|null, avg?: number|null, count?: number}} Latency */

/**
 * @typedef {object} Point
 * @property {string|number} at  RFC 3339, or seconds since 1970.
 * @property {{on?: Turns, off?: Turns}} [turns]
 * @property {{on?: number|null, off?: number|null}} [error_rate]
 * @property {{on?: Latency, off?: Latency}} [ttft_ms]
 * @property {Latency} [gap_ms]
 * @property {Latency} [page_ttft_ms]
 * @property {number|null} [active_turns]
 * @property {number|null} [active_readers]
 * @property {{tts?: {hits?: number, misses?: number, hitRate?: number|null}}} [cache]
 */

/** @typedef {{range: string, step_s: number, points: Point[]}} History */

/**
 * @typedef {object} Series
 * @property {string} name
 * @property {"on"|"off"|"third"} colour  A variable of the style sheet: `--line-…`.
 * @property {"solid"|"dashed"|"dotted"} line
 * @property {(point: Point) => number|null|undefined} figure
 */

/**
 * @typedef {object} ChartSpec
 * @property {string} name
 * @property {string} about  One line below the name.
 * @property {(value: number|null|undefined) => string} shown
 * @property {Series[]} series
 * @property {number} least  The axis reaches to this at least: nothing but zeros is no drama.
 */

/** @param {string} name @param {Series["colour"]} colour @param {Series["line"]} line @param {Series["figure"]} figure */
const series = (name, colour, line, figure) => ({ name, colour, line, figure });

/** @type {ChartSpec[]} */
export const CHARTS = [
  {
    name: "Time to first token",
    about: "Of the model, by arm; pages: from sending until browsers showed it.",
    shown: milliseconds, least: 10,
    series: [
      series("On p50", "on", "solid", (point) => point.ttft_ms?.on?.p50),
      series("On p95", "on", "dashed", (point) => point.ttft_ms?.on?.p95),
      series("Off p50", "off", "solid", (point) => point.ttft_ms?.off?.p50),
      series("Pages p50", "third", "dotted", (point) => point.page_ttft_ms?.p50),
    ],
  },
  {
    name: "Error rate",
    about: "Failed and interrupted turns among those that were not cancelled, by arm.",
    shown: percent, least: 0.01,
    series: [
      series("On", "on", "solid", (point) => point.error_rate?.on),
      series("Off", "off", "solid", (point) => point.error_rate?.off),
    ],
  },
  {
    name: "Gaps between tokens",
    about: "Within one answer, as the server sends it.",
    shown: milliseconds, least: 10,
    series: [
      series("p50", "on", "solid", (point) => point.gap_ms?.p50),
      series("p95", "on", "dashed", (point) => point.gap_ms?.p95),
      series("p99", "off", "dotted", (point) => point.gap_ms?.p99),
    ],
  },
  {
    name: "Active turns and readers",
    about: "At once, in all workers.",
    shown: count, least: 4,
    series: [
      series("Turns", "on", "solid", (point) => point.active_turns),
      series("Readers", "third", "solid", (point) => point.active_readers),
    ],
  },
  {
    name: "Turns started",
    about: "In each step of the chart, by arm.",
    shown: count, least: 4,
    series: [
      series("On", "on", "solid", (point) => point.turns?.on?.started),
      series("Off", "off", "solid", (point) => point.turns?.off?.started),
    ],
  },
  {
    name: "Speech from the cache",
    about: "Share of audio that was not made anew.",
    shown: percent, least: 1,
    series: [series("Hit rate", "on", "solid", (point) => point.cache?.tts?.hitRate)],
  },
];

/** @param {Point} point @returns {number} Seconds since 1970. */
export function secondsOf(point) {
  return typeof point.at === "number" ? point.at : Date.parse(point.at) / 1000;
}

/**
 * One column of instants and one for each series. A step for which there is no point is a gap in
 * the line, not a line over it.
 *
 * @param {ChartSpec} spec
 * @param {History} history
 * @returns {(number|null)[][]}
 */
export function columns(spec, history) {
  const points = withGaps(history);
  return [
    points.map(({ at }) => at),
    ...spec.series.map(({ figure }) => points.map(({ point }) => {
      const value = point && figure(point);
      return isKnown(value) ? value : null;
    })),
  ];
}

/** @param {History} history @returns {{at: number, point: Point|null}[]} */
function withGaps({ points, step_s: stepS }) {
  /** @type {{at: number, point: Point|null}[]} */
  const filled = [];
  for (const point of points) {
    const at = secondsOf(point);
    const last = filled.at(-1);
    if (last && at - last.at > 1.5 * stepS) filled.push({ at: last.at + stepS, point: null });
    filled.push({ at, point });
  }
  return filled;
}

/**
 * A chart in one sentence, for whoever does not see it.
 *
 * @param {ChartSpec} spec
 * @param {(number|null)[][]} data
 */
export function summary(spec, data) {
  const said = spec.series.map((each, index) => {
    const values = data[index + 1].filter(isKnown);
    if (!values.length) return `${each.name}: no data`;
    const [low, high] = [Math.min(...values), Math.max(...values)];
    return `${each.name}: now ${spec.shown(values.at(-1))}, between ${spec.shown(low)} and ${spec.shown(high)}`;
  });
  return `${spec.name}. ${said.join(". ")}.`;
}

/** Rows of a table that is still read by a person. */
const MAX_ROWS = 30;

/**
 * @param {ChartSpec} spec
 * @param {(number|null)[][]} data
 * @returns {{at: number, values: string[]}[]} The newest first; of many, evenly spread ones.
 */
export function rows(spec, data) {
  const every = Math.max(1, Math.ceil(data[0].length / MAX_ROWS));
  const found = [];
  for (let index = data[0].length - 1; index >= 0; index -= every) {
    const values = spec.series.map((_, each) => spec.shown(data[each + 1][index]));
    if (values.some((value) => value !== NOTHING)) found.push({ at: data[0][index] ?? 0, values });
  }
  return found;
}
