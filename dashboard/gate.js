// Every check in its order: what it said of the last decision, and what it would say now.

import { byId, keepList, make, setClass, setText } from "./dom.js";
import { checkFigure, checkName, CHECK_ORDER, localised } from "./words.js";

// What these look at belongs to a decision; what the others look at belongs to the book.
const OF_A_DECISION = new Set(["data_age_seconds", "feed", "distribution", "signal", "confidence", "order_id"]);
const OUTCOMES = {
  pass: "\u2713 pass", fail: "\u2717 fail", exempt: "\u25cb exempt", none: "\u2013 not reached",
};

export function renderGate({ sections, now }) {
  const gate = sections.risk?.gate;
  const last = sections.decisions?.newest ?? null;
  const names = gate ? gate.entry.checks.map((check) => check.check) : CHECK_ORDER;
  const columns = [last?.checks ?? [], gate?.entry.checks ?? [], gate?.exit.checks ?? []].map(byName);
  const first = columns.map((column) => names.find((name) => column.get(name)?.passed === false));
  keepList(byId("gate-checks"), names, (name) => name, makeRow, (row, name) => {
    columns.forEach((column, place) => {
      fillCell(row.cells[place + 1], column.get(name), first[place] === name);
    });
    setText(row.querySelector(".figure"), checkFigure(figureFrom(name, columns)));
    setText(row.querySelector(".why"), localised(whyOf(columns.map((column) => column.get(name)?.message)), now));
    row.classList.toggle("failed", columns.some((column) => column.get(name)?.passed === false));
  });
}

/** What speaks against trading now; else what spoke against the last decision. */
function whyOf([last, entry, exit]) {
  return entry || exit || (last ? `Last decision: ${last}` : "");
}

function figureFrom(name, [last, entry]) {
  const [first, second] = OF_A_DECISION.has(name) ? [last, entry] : [entry, last];
  return first.get(name) ?? second.get(name) ?? {};
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
