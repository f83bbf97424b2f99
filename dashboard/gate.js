// Every check in its order: what it said of the last decision, and what it would say now.

import { byId, keepList, make, setClass, setText } from "./dom.js";
import { checkFigure, checkName, CHECK_ORDER } from "./words.js";

const OUTCOMES = {
  pass: "\u2713 pass", fail: "\u2717 fail", exempt: "\u25cb exempt", none: "\u2013 not reached",
};

export function renderGate({ sections }) {
  const gate = sections.risk?.gate;
  const last = sections.decisions?.newest ?? null;
  const names = gate ? gate.entry.checks.map((check) => check.check) : CHECK_ORDER;
  const columns = [last?.checks ?? [], gate?.entry.checks ?? [], gate?.exit.checks ?? []].map(byName);
  const first = columns.map((column) => names.find((name) => column.get(name)?.passed === false));
  keepList(byId("gate-checks"), names, (name) => name, makeRow, (row, name) => {
    columns.forEach((column, place) => {
      fillCell(row.cells[place + 1], column.get(name), first[place] === name);
    });
    setText(row.querySelector(".figure"), checkFigure(columns[0].get(name) ?? columns[1].get(name) ?? {}));
    setText(row.querySelector(".why"), whyOf(columns.map((column) => column.get(name)?.message)));
    row.classList.toggle("failed", columns.some((column) => column.get(name)?.passed === false));
  });
}

/** What speaks against trading now; else what spoke against the last decision. */
function whyOf([last, entry, exit]) {
  return entry || exit || (last ? `Last decision: ${last}` : "");
}

function byName(checks) {
  return new Map(checks.map((check) => [check.check, check]));
}

function makeRow(name) {
  return make("tr", {},
    make("th", { scope: "row" }, checkName(name), make("span", { class: "figure" }), make("span", { class: "why" })),
    make("td"), make("td"), make("td"));
}

function fillCell(cell, check, decides) {
  const outcome = check === undefined ? "none" : check.exempt ? "exempt" : check.passed ? "pass" : "fail";
  setClass(cell, `${outcome}${decides ? " decides" : ""}`);
  setText(cell, OUTCOMES[outcome]);
}
