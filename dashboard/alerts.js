// Open and past alerts, and taking note of them.

import { allow, ask, isAllowed } from "./ask.js";
import { may, post } from "./calls.js";
import { age, byId, keepList, make, setClass, setText, show } from "./dom.js";
import { time, words } from "./words.js";

export function renderAlerts({ sections, you, now }) {
  const { alerts } = sections.alerts;
  const open = alerts.filter((alert) => alert.state !== "resolved");
  setText(byId("alerts-count"), open.length ? `${open.length} open` : "");
  show(byId("alerts-none"), alerts.length === 0);
  const order = [...open, ...alerts.filter((alert) => alert.state === "resolved").slice(0, 8)];
  keepList(byId("alerts-list"), order, (alert) => alert.id, makeAlert, (item, alert) => {
    setClass(item, `alert ${alert.state} ${alert.severity}`);
    setText(item.querySelector(".state"), stateWords(alert));
    setText(item.querySelector(".message"), alert.message);
    setText(item.querySelector(".more"), moreWords(alert, now));
    const button = item.querySelector("button");
    show(button, alert.state === "open");
    allow(button, may(you?.role, "trader") ? null : `Needs the role trader; this key has the role ${you?.role}.`);
  });
}

function makeAlert(alert) {
  const name = words(alert.cause);
  const button = make("button", { type: "button", "aria-label": `Acknowledge ${name}` }, "Acknowledge\u2026");
  const item = make("li", {},
    make("p", { class: "head" }, make("b", {}, name), " ", make("span", { class: "state" }), " ", age(alert.opened_at)),
    make("p", { class: "message" }), make("p", { class: "more quiet" }), button);
  button.addEventListener("click", () => {
    if (isAllowed(button)) acknowledge(alert.id, name);
    else setText(item.querySelector(".more"), button.title);
  });
  return item;
}

function stateWords(alert) {
  const severity = alert.severity === "page" ? "urgent, " : "";
  return alert.state === "resolved" ? "over" : `${severity}${alert.state}`;
}

function moreWords(alert, now) {
  const noted = alert.acknowledged_at
    ? `Acknowledged by ${alert.acknowledged_by} at ${time(alert.acknowledged_at, now)}${alert.note ? `: ${alert.note}` : ""}` : "";
  const over = alert.resolved_at ? `Over since ${time(alert.resolved_at, now)}` : "";
  return [noted, over].filter(Boolean).join(" \u00b7 ");
}

function acknowledge(id, name) {
  ask({
    title: `Acknowledge: ${name}`, button: "Acknowledge",
    explain: "Reminders of it stop. What is wrong stays wrong until it is put right.",
    label: "Note, listed with the alert", required: () => false,
    send: (note) => post("v1/alerts/acknowledge", { id, note }),
    done: () => `${name} is acknowledged.`,
  });
}
