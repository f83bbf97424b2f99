// Two small charts with one time axis, drawn here: a chart library brings style sheets of its own,
// which the policy of this page refuses, and is a hundred times its size.

import { setText } from "./dom.js";
import { percent } from "./words.js";

const SPACE = "http://www.w3.org/2000/svg";
const LEFT = 52;
const RIGHT = 8;
const TOP = 20;
const HEIGHT = 92;
const BETWEEN = 34;
const WORST = 1.08; // how far beyond its limit an axis goes
const LEAST = 0.002; // an axis shows at least this much above zero

function part(name, attributes, text) {
  const made = document.createElementNS(SPACE, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  if (text !== undefined) made.textContent = text;
  return made;
}

/**
 * @param svg where it is drawn
 * @param course {times, series: [{name, values, limit, tone}]}; times in milliseconds
 * @param end of the time axis, milliseconds
 * @param clock makes a time into words
 */
export function drawCourse(svg, { times, series }, end, clock) {
  const width = Math.max(240, svg.clientWidth || 480);
  const height = TOP + series.length * HEIGHT + (series.length - 1) * BETWEEN + 22;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("height", String(height));
  const begin = times.length ? times[0] : end - 3_600_000;
  const span = Math.max(60_000, end - begin);
  const across = (at) => LEFT + ((at - begin) / span) * (width - LEFT - RIGHT);
  const plots = series.map((one, place) => plotOf(one, TOP + place * (HEIGHT + BETWEEN), width, times, across, end));
  const bottom = height - 22;
  svg.replaceChildren(...ticksOf(begin, span, width, bottom, across, clock), ...plots.flat());
}

function plotOf({ name, values, limit, tone }, top, width, times, across, end) {
  const lowest = Math.min(limit * WORST, ...values);
  const highest = Math.max(LEAST, ...values.map((value) => value * WORST));
  const down = (value) => top + ((highest - value) / (highest - lowest)) * HEIGHT;
  const line = (value, kind) => part("line", { class: kind, x1: LEFT, x2: width - RIGHT, y1: down(value), y2: down(value) });
  const label = (value, kind) => part("text", { class: kind, x: LEFT - 6, y: down(value) + 4, "text-anchor": "end" }, percent(value, { digits: 1 }));
  const drawn = [
    part("text", { class: "name", x: LEFT, y: top - 6 }, name),
    line(0, "zero"), label(0, "tick"), line(limit / 2, "grid"), label(limit / 2, "tick"),
    line(limit, "limit"), label(limit, "tick limit"),
    part("text", { class: "tick limit", x: width - RIGHT, y: down(limit) - 4, "text-anchor": "end" }, "limit"),
  ];
  if (highest > -limit / 4) drawn.push(line(highest / WORST, "grid"), label(highest / WORST, "tick"));
  if (values.length) drawn.push(part("path", { class: `course ${tone}`, d: stepsOf(values, times, across, down, end) }));
  return drawn;
}

function stepsOf(values, times, across, down, end) {
  const steps = values.map((value, place) => `${place ? "H" : "M"}${across(times[place]).toFixed(1)}${place ? "V" : " "}${down(value).toFixed(1)}`);
  return `${steps.join("")}H${across(end).toFixed(1)}`;
}

function ticksOf(begin, span, width, bottom, across, clock) {
  const count = width > 420 ? 4 : 2;
  return Array.from({ length: count + 1 }, (_, place) => begin + (span * place) / count).flatMap((at, place) => [
    part("line", { class: "grid", x1: across(at), x2: across(at), y1: TOP, y2: bottom }),
    part("text", { class: "tick", x: across(at), y: bottom + 16,
      "text-anchor": place === 0 ? "start" : place === count ? "end" : "middle" }, clock(at)),
  ]);
}

/** What the pointer is over, told in words beside the chart. */
export function followPointer(svg, readout, courseNow, clock) {
  svg.addEventListener("pointermove", (event) => {
    const { times, series, end } = courseNow();
    if (times.length === 0) return;
    const box = svg.getBoundingClientRect();
    const part = (event.clientX - box.left - LEFT) / (box.width - LEFT - RIGHT);
    const at = times[0] + part * Math.max(60_000, end - times[0]);
    const place = Math.max(0, times.findLastIndex((time) => time <= at));
    setText(readout, `${clock(times[place])}: ${series.map((one) => `${one.name} ${percent(one.values[place])}`).join(", ")}`);
  });
  svg.addEventListener("pointerleave", () => setText(readout, ""));
}
