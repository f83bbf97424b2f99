// P&L and drawdown of the day: figures, and their course.

import { drawCourse, followPointer } from "./chart.js";
import { byId, keepList, make, setClass, setText } from "./dom.js";
import { dollars, percent, time, zoneName } from "./words.js";

let course = { times: [], series: [], end: 0 };
const clock = (at) => time(at, at);

export function renderDay({ sections: { risk, day }, now }) {
  if (!risk) return;
  renderFigures(risk.daily_stats);
  if (!day) return;
  setText(byId("chart-caption"), captionOf(day, now));
  course = {
    times: day.times,
    series: [
      { name: "P&L", values: day.daily_pnl, limit: risk.limits.max_daily_loss, tone: "first" },
      { name: "Drawdown", values: day.drawdown, limit: risk.limits.max_drawdown, tone: "second" },
    ],
    end: now,
  };
  draw();
}

function draw() {
  if (course.series.length) drawCourse(byId("chart"), course, course.end, clock);
}

function renderFigures(stats) {
  const figures = [
    ["P&L", percent(stats.pnl_percent), stats.pnl_percent, `${dollars(stats.pnl)} closed`],
    ["Open mark", percent(stats.unrealized_pnl_percent), stats.unrealized_pnl_percent, ""],
    ["Drawdown", percent(stats.drawdown), stats.drawdown, ""],
    ["Won, lost", `${stats.wins}, ${stats.losses}`, 0, stats.win_rate === null ? "" : `${percent(stats.win_rate, { digits: 0, sign: false })} won`],
  ];
  keepList(byId("day-figures"), figures, ([name]) => name,
    ([name]) => make("div", {}, make("dt", {}, name), make("dd", {}, make("b"), make("span"))),
    (item, [, text, value, more]) => {
      setClass(item.querySelector("b"), value > 0 ? "up" : value < 0 ? "down" : "");
      setText(item.querySelector("b"), text);
      setText(item.querySelector("span"), more);
    });
}

function captionOf(day, now) {
  if (day.times.length === 0) return "Nothing has moved P&L today.";
  return `P&L between ${percent(Math.min(0, ...day.daily_pnl))} and ${percent(Math.max(0, ...day.daily_pnl))}, `
    + `drawdown at worst ${percent(Math.min(0, ...day.drawdown))}; last moved ${time(day.times.at(-1), now)} ${zoneName()}.`;
}

export function prepareDay() {
  new ResizeObserver(draw).observe(byId("chart").parentElement);
  followPointer(byId("chart"), byId("chart-readout"), () => course, clock);
}
