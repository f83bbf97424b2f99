// Puts what the stream tells into the panels, and says so when it tells nothing any more.

import { prepareAsk } from "./ask.js";
import { prepareDecisions, renderDecisions } from "./decisions.js";
import { prepareDrift, renderDrift } from "./drift.js";
import { prepareDay, renderDay } from "./day.js";
import { byId, make, setText, show } from "./dom.js";
import { renderAlerts } from "./alerts.js";
import { renderGate } from "./gate.js";
import { renderHealth } from "./health.js";
import { askForKey, authorization, dropKey, hasKey, keyAccepted, keyForm } from "./key.js";
import { renderLimits } from "./limits.js";
import { renderModels } from "./models.js";
import { renderSignal } from "./signal.js";
import { prepareTheme } from "./theme.js";
import { prepareTrading, renderTrading } from "./trading.js";
import { Stream } from "./stream.js";
import { duration, markOf, time, useZone, zoneName } from "./words.js";

const PANELS = {
  signal: renderSignal, trading: renderTrading, gate: renderGate, limits: renderLimits, day: renderDay,
  alerts: renderAlerts, decisions: renderDecisions, drift: renderDrift, models: renderModels, health: renderHealth,
};
const NEEDS_ALL = new Set(["trading", "limits", "alerts", "decisions", "models", "health"]);

const view = { sections: {}, about: null, you: null, now: Date.now(), lost: true };
let faults = {};
let unshown = {}; // panels that could not be drawn, and why
let goodAt = {};
let ahead = 0; // the service's clock before ours, milliseconds
let toldAt = null;

const stream = new Stream({ headers: authorization, told: take, lost: lose, refused: refuse });

function take(message) {
  const now = Date.parse(message.now);
  ahead = now - Date.now();
  view.now = toldAt = now;
  if (message.about) welcome(message);
  const changed = new Set(Object.keys(message.sections));
  for (const [name, section] of Object.entries(message.sections)) {
    if (section.fault === undefined) {
      view.sections[name] = section;
      goodAt[name] = now;
      delete faults[name];
    } else {
      faults[name] = section.fault;
    }
  }
  for (const name of Object.keys(goodAt)) if (!faults[name]) goodAt[name] = now;
  announceChanges();
  render(changed);
}

function welcome(message) {
  const again = view.lost && view.about !== null;
  view.about = message.about;
  view.you = message.you;
  view.lost = false;
  faults = {};
  keyAccepted();
  useZone(message.about.timezone);
  setText(byId("zone"), zoneName());
  setText(byId("who"), `${message.you.name}, ${message.you.role} \u00b7 book ${message.about.book} \u00b7 ${message.about.environment}`);
  link("live", "\u25cf Live");
  show(byId("stale"), false);
  if (again) announce("Connected again.");
}

function lose(reason) {
  const before = view.lost;
  view.lost = true;
  link("lost", "\u2717 Not live");
  setText(byId("stale-what"), `No live data. ${reason} Trying again.`);
  show(byId("stale"), true);
  tick();
  if (!before) render(new Set(["risk"]));
}

function refuse(status, words) {
  view.lost = true;
  if (view.about !== null) {
    forget();
  } else if (status === 401) {
    link("lost", "\u2717 No key");
    show(byId("stale"), false);
    askForKey(hasKey() ? "The service does not know this key." : "");
    dropKey();
  } else {
    link("lost", "\u2717 Not live");
    setText(byId("stale-what"), `Refused: ${words}`);
    show(byId("stale"), true);
  }
}

/** Nothing of what was seen with a key stays when the key is gone. */
function forget() {
  stream.stop();
  location.reload();
}

function link(state, words) {
  document.documentElement.dataset.link = state;
  setText(byId("link"), words);
}

function render(changed) {
  for (const id of Object.keys(PANELS)) {
    const panel = byId(id);
    const names = panel.dataset.sections.split(" ");
    if (!names.some((name) => changed.has(name))) continue;
    const known = names.filter((name) => view.sections[name]);
    if (NEEDS_ALL.has(id) ? known.length === names.length : known.includes(names[0])) draw(id, view);
    showFault(panel, names);
  }
  title();
  tick();
}

/** One panel; whatever it cannot show takes no other with it. */
function draw(id, shown) {
  try {
    PANELS[id](shown);
    delete unshown[id];
  } catch (error) {
    if (unshown[id] !== error.message) console.error(`${id}: ${error.stack}`);
    unshown[id] = error.message;
  }
}

function showFault(panel, names) {
  const broken = names.find((name) => faults[name]);
  const fault = faults[broken] ?? unshown[panel.id];
  panel.classList.toggle("stale", fault !== undefined);
  let note = panel.querySelector(":scope > .fault");
  if (fault === undefined) {
    note?.remove();
    return;
  }
  if (note === null) {
    note = make("p", { class: "fault" });
    panel.querySelector("h2").after(note);
  }
  const since = goodAt[broken] ? ` Figures below are of ${time(goodAt[broken], view.now)}.` : "";
  setText(note, broken ? `Cannot be read now: ${fault}.${since}` : `Cannot be shown whole: ${fault}. What is below may be old.`);
}

function title() {
  const { decisions, risk } = view.sections;
  const signal = decisions?.newest ? `${markOf(decisions.newest.signal)} ${decisions.newest.signal} \u00b7 ` : "";
  const halt = risk && risk.operator.mode !== "ACTIVE" ? `${risk.operator.mode} \u00b7 ` : "";
  document.title = view.lost ? "\u2717 Not live \u00b7 USD/COP" : `${signal}${halt}USD/COP decisions`;
}

let announced = {};

function announceChanges() {
  const { risk } = view.sections;
  if (!risk) return;
  const state = { Operator: risk.operator.mode, "Circuit breaker": risk.breaker.state };
  const changes = Object.entries(state).filter(([name, value]) => announced[name] && announced[name] !== value);
  announced = state;
  if (changes.length) announce(changes.map(([name, value]) => `${name}: ${value.replace("_", "-").toLowerCase()}.`).join(" "));
}

function announce(words) {
  byId("announce").textContent = words;
}

/** Once a second: the clock and every age, and what runs out by itself. */
function tick() {
  const now = Date.now() + ahead;
  if (view.about !== null) setText(byId("clock"), time(now, now));
  for (const node of document.querySelectorAll("[data-since]")) {
    setText(node, `${node.dataset.before}${duration(now - Date.parse(node.dataset.since))}${node.dataset.after}`);
  }
  if (view.lost && toldAt !== null) {
    setText(byId("stale-age"), `What is shown is of ${time(toldAt, now)} ${zoneName()}, ${duration(now - toldAt)} old.`);
  }
  if (view.sections.decisions) draw("signal", { ...view, now });
}

prepareTheme();
prepareDay();
prepareAsk(announce);
prepareTrading();
prepareDrift();
prepareDecisions();
keyForm(() => stream.start(), forget);
setInterval(tick, 1000);
stream.start();
