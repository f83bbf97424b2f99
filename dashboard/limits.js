// How much of each limit is used.

import { byId, keepList, make, setClass, setText } from "./dom.js";
import { percent, time, zoneName } from "./words.js";

const NEAR = 0.8;

export function renderLimits({ sections, now }) {
  keepList(byId("gauges"), gaugesOf(sections.risk, now), (gauge) => gauge.name, makeGauge, fillGauge);
}

function gaugesOf(risk, now) {
  const { limits, daily_stats: stats, risk_utilization: used, position } = risk;
  const held = position.position === null ? "not reported" : percent(position.position);
  const coming = [
    position.being_bought && `${percent(position.being_bought)} being bought`,
    position.being_sold && `${percent(-position.being_sold)} being sold`,
    position.as_of && `reported ${time(position.as_of, now)} ${zoneName()}`,
  ].filter(Boolean).join(", ");
  return [
    { name: "P&L of the day", value: percent(stats.pnl_percent), limit: percent(limits.max_daily_loss), used: used.daily_loss },
    { name: "Drawdown", value: percent(stats.drawdown), limit: percent(limits.max_drawdown), used: used.drawdown },
    { name: "Losses in a row", value: stats.consecutive_losses, limit: limits.max_consecutive_losses, used: used.consecutive_losses },
    { name: "Trades today", value: stats.trades_today, limit: limits.max_trades_per_day, used: used.trades },
    { name: "Open orders", value: stats.open_orders, limit: limits.max_unresolved_orders, used: used.unresolved_orders },
    { name: "Position", value: held, limit: percent(limits.max_position_size, { sign: false }), used: used.position, more: coming },
  ];
}

function makeGauge(gauge) {
  return make("li", {},
    make("span", { class: "name" }, gauge.name),
    make("span", { class: "value" }, make("b"), make("span", { class: "quiet" })),
    make("span", { class: "meter", role: "meter", "aria-label": gauge.name, "aria-valuemin": "0", "aria-valuemax": "100" },
      make("span", { class: "fill" })),
    make("span", { class: "used" }));
}

function fillGauge(item, gauge) {
  const part = Math.min(1, Math.max(0, gauge.used));
  const reached = gauge.used >= 1;
  const near = gauge.used >= NEAR;
  setClass(item, reached ? "reached" : near ? "near" : "");
  setText(item.querySelector(".value b"), String(gauge.value));
  setText(item.querySelector(".value span"), ` limit ${gauge.limit}`);
  const meter = item.querySelector(".meter");
  const told = `${Math.round(gauge.used * 100)}% used${reached ? ", limit reached" : near ? ", near the limit" : ""}`;
  meter.setAttribute("aria-valuenow", String(Math.round(part * 100)));
  meter.setAttribute("aria-valuetext", `${gauge.value}, limit ${gauge.limit}, ${told}`);
  meter.querySelector(".fill").style.width = `${part * 100}%`;
  setText(item.querySelector(".used"), [told, gauge.more].filter(Boolean).join(" \u00b7 "));
}
