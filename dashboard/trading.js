// Whether trading goes on, who or what stops it, and the four acts of a person.

import { allow, ask, isAllowed } from "./ask.js";
import { may, post } from "./calls.js";
import { byId, keepList, make, setClass, setText } from "./dom.js";
import { localised, percent, time, words, zoneName } from "./words.js";

const ACTS = { halt: "trader", reduce: "trader", resume: "admin", reset: "admin" };
const MODES = {
  ACTIVE: ["good", "Active"],
  REDUCING: ["warn", "Reduce only: exits pass"],
  HALTED: ["bad", "Halted: nothing passes"],
};
const BREAKER = {
  CLOSED: ["good", "Closed"],
  OPEN: ["bad", "Open: entries are refused"],
  HALF_OPEN: ["warn", "Half-open: one entry may probe it"],
};

export function renderTrading({ sections, you, now, lost }) {
  const risk = sections.risk;
  renderHeadline(risk);
  renderGate("state-entries", risk.gate.entry, "Would pass now", now);
  renderGate("state-exits", risk.gate.exit, "Would pass now", now);
  state("state-breaker", BREAKER[risk.breaker.state] ?? ["warn", words(risk.breaker.state)], breakerWords(risk.breaker, now));
  state("state-operator", MODES[risk.operator.mode] ?? ["warn", words(risk.operator.mode)], operatorWords(risk.operator, now));
  state("state-session", risk.calendar.open ? ["good", "Open"] : ["note", "Closed"], risk.calendar.open
    ? [`until ${time(risk.calendar.session_ends_at, now)} ${zoneName()}`] : [risk.calendar.reason]);
  renderActs(you, risk.operator.mode, lost);
}

function state(id, [tone, headline], more) {
  const [line] = byId(id).querySelectorAll("dd");
  setClass(line, tone);
  setText(line.querySelector("b"), headline);
  keepList(line.querySelector("span"), more.filter(Boolean), (text) => text, () => make("span"), setText);
}

/** One word for all of it, readable from across the desk. */
function renderHeadline({ operator, breaker, gate }) {
  const node = byId("trading-big");
  const [tone, headline] = operator.mode === "HALTED" ? ["bad", "\u2716 Halted"]
    : breaker.state === "OPEN" ? ["bad", "\u2716 Breaker open"]
    : operator.mode === "REDUCING" ? ["warn", "\u25bd Exits only"]
    : gate.entry.passes ? ["good", "\u2714 Trading"]
    : ["warn", `\u25cb ${SHORT[gate.entry.status] ?? words(gate.entry.status)}`];
  setClass(node, `headword ${tone}`);
  setText(node, headline);
  setClass(byId("trading"), tone === "bad" ? "panel stopped" : "panel");
}

const SHORT = { OUTSIDE_TRADING_HOURS: "Market closed", MARKET_HOLIDAY: "Holiday", COOLDOWN_ACTIVE: "Cooldown" };

function renderGate(id, verdict, passes, now) {
  state(id, verdict.passes ? ["good", passes] : ["bad", `Refused: ${words(verdict.status)}`],
    verdict.passes ? ["if the models are sure"] : verdict.reasons.map((reason) => localised(reason, now)));
}

function breakerWords(breaker, now) {
  const causes = breaker.causes.map((cause) => {
    const figure = cause.cause === "consecutive_losses"
      ? `${cause.value} of ${cause.limit}` : `${percent(cause.value)} of ${percent(cause.limit)}`;
    const until = cause.until && Date.parse(cause.until) > now ? `, paused until ${time(cause.until, now)}` : "";
    return `${words(cause.cause)} ${figure} since ${time(cause.since, now)}${until}; released by ${cause.released_by}`;
  });
  const waiting = breaker.unconfirmed.map((found) => `${words(found.cause)} is beyond its limit, one more mark confirms it`);
  const probe = breaker.probe ? [`probe ${breaker.probe} has no outcome yet`] : [];
  return [...causes, ...probe, ...waiting];
}

function operatorWords(operator, now) {
  const by = operator.since ? `by ${operator.by} since ${time(operator.since, now)}` : "";
  const file = operator.halt_file ? "the halt file is there: remove it to resume" : "";
  return [by, operator.reason, file];
}

function renderActs(you, mode, lost) {
  const lacking = Object.entries(ACTS).filter(([, least]) => !may(you?.role, least));
  for (const [act, least] of Object.entries(ACTS)) {
    const role = may(you?.role, least) ? null : `Needs the role ${least}; this key has the role ${you?.role}.`;
    allow(byId(`act-${act}`), role ?? (lost ? null : pointless(act, mode)));
  }
  setText(byId("acts-note"), lacking.length === 0 ? "" : noteOf(lacking, you));
}

function pointless(act, mode) {
  if (act === "halt" && mode === "HALTED") return "Trading is halted already.";
  if (act === "reduce" && mode !== "ACTIVE") return "Only exits, or nothing, may pass already.";
  if (act === "resume" && mode === "ACTIVE") return "Nothing is halted.";
  return null;
}

function noteOf(lacking, you) {
  const needs = [...new Set(lacking.map(([, least]) => least))].map((least) => {
    const acts = lacking.filter(([, other]) => other === least).map(([act]) => NAMES[act]);
    return `${acts.join(" and ")} need${acts.length === 1 ? "s" : ""} the role ${least}`;
  });
  return `${needs.join("; ")}. Your key has the role ${you?.role}.`;
}

const NAMES = { halt: "Halt", reduce: "Reduce only", resume: "Resume", reset: "Reset" };

const QUESTIONS = {
  halt: {
    title: "Halt trading", button: "Halt trading", danger: true,
    explain: "Nothing passes from now on, neither entries nor exits, on every service of this book, until an admin resumes.",
    label: "Reason, for the record", required: () => false,
    send: (reason) => post("v1/risk/halt", { mode: "HALTED", reason }),
    done: () => "Trading is halted.",
  },
  reduce: {
    title: "Reduce only", button: "Allow exits only", danger: true,
    explain: "Entries are refused from now on and exits pass, on every service of this book, until an admin resumes.",
    label: "Reason, for the record", required: () => false,
    send: (reason) => post("v1/risk/halt", { mode: "REDUCING", reason }),
    done: () => "Only exits pass now.",
  },
  resume: {
    title: "Resume trading", button: "Resume",
    explain: "What a person has halted goes on. The circuit breaker and all limits stay as they are.",
    choice: { legend: "Allow", options: [
      { value: "ACTIVE", text: "entries and exits" }, { value: "REDUCING", text: "exits only" }] },
    label: "Reason, for the record (needed)", required: () => true,
    send: (reason, mode) => post("v1/risk/resume", { mode, reason }),
    done: (answer) => `Trading is ${answer.mode === "ACTIVE" ? "active" : "reduced to exits"}.`,
  },
  reset: {
    title: "Reset counters", button: "Reset",
    explain: "Erases nothing from the record. What a person has halted stays halted.",
    choice: { legend: "Clear", options: [
      { value: "daily", text: "the day: P&L, trades, loss streak, cooldown, and what they have opened the breaker for" },
      { value: "all", text: "the day, and the drawdown: the high-water mark becomes what the book is worth now" }] },
    label: "Reason, for the record (needed for the drawdown)", required: (scope) => scope === "all",
    send: (reason, scope) => post("v1/risk/reset", { scope, reason }),
    done: () => "The counters are reset.",
  },
};

export function prepareTrading() {
  for (const act of Object.keys(ACTS)) {
    const button = byId(`act-${act}`);
    button.addEventListener("click", () => {
      setText(byId("acts-said"), isAllowed(button) ? "" : button.title);
      if (isAllowed(button)) ask(QUESTIONS[act]);
    });
  }
}
