// The last decisions; each opens to all it was made from.

import { get, Refusal } from "./calls.js";
import { byId, keepList, make, setClass, setText, show } from "./dom.js";
import { checkFigure, checkName, dollars, percent, share, signalWords, time, words, zoneName } from "./words.js";

export function renderDecisions({ sections, now }) {
  const { recent } = sections.decisions;
  show(byId("decisions-none"), recent.length === 0);
  keepList(byId("decisions-rows"), recent, (decision) => decision.decision_id, makeRow, (row, decision) => {
    const [at, signal, raw, outcome, confidence, order, caller] = row.cells;
    const clock = time(decision.timestamp, now);
    setText(at.firstChild, clock);
    at.firstChild.setAttribute("aria-label", `Decision of ${clock}, ${decision.signal}`);
    setText(signal, signalWords(decision.signal));
    setClass(signal, decision.signal.toLowerCase());
    setText(raw, decision.raw_signal === decision.signal ? "the same" : signalWords(decision.raw_signal));
    setText(confidence, share(decision.confidence));
    setText(outcome, outcomeWords(decision));
    setClass(outcome, decision.approved ? "good" : "refused");
    setText(order, decision.order_id);
    setText(caller, decision.caller);
  });
}

function outcomeWords(decision) {
  if (!decision.approved) return words(decision.risk_status);
  return decision.reduces ? "\u2713 Exit approved" : "\u2713 Entry approved";
}

function makeRow(decision) {
  const button = make("button", { type: "button", class: "open" });
  button.addEventListener("click", () => openDecision(decision.decision_id));
  return make("tr", {}, make("td", {}, button), make("td"), make("td"), make("td"),
    make("td", { class: "number" }), make("td", { class: "code" }), make("td"));
}

export function prepareDecisions() {
  const dialog = byId("detail");
  byId("detail-close").addEventListener("click", () => dialog.close());
  byId("detail-copy").addEventListener("click", async () => setText(byId("detail-copied"), await copied()));
}

async function copied() {
  const field = byId("detail-id");
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
    return "Copied.";
  } catch {
    return "Selected: copy it with the keyboard.";
  }
}

async function openDecision(id) {
  byId("detail-id").value = id;
  setText(byId("detail-copied"), "");
  setText(byId("detail-refusal"), "");
  byId("detail-body").replaceChildren();
  byId("detail").showModal();
  byId("detail-title").focus();
  try {
    const decision = await get(`v1/decisions/${encodeURIComponent(id)}`);
    if (byId("detail-id").value === id) byId("detail-body").replaceChildren(...partsOf(decision));
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    setText(byId("detail-refusal"), error.message);
  }
}

function partsOf(decision) {
  return [
    make("h3", {}, "Outcome"), facts(decision),
    make("h3", {}, "Reasons"), list(decision.reasons),
    make("h3", {}, "Probabilities"), probabilities(decision),
    make("h3", {}, "Checks"), checks(decision.checks),
  ];
}

function facts(decision) {
  const size = decision.position_recommendation;
  const rows = [
    ["Decided", `${time(decision.timestamp)} ${zoneName()}`],
    ["Signal", `${signalWords(decision.signal)}; models said ${signalWords(decision.raw_signal)} with ${share(decision.confidence)}`],
    ["Outcome", outcomeWords(decision)],
    ["Size", size && `${percent(size.position_size_percent, { sign: false })}, ${dollars(size.position_size_usd, { sign: false })}, risk ${size.risk_level}`],
    ["Valid until", decision.valid_until && `${time(decision.valid_until)} ${zoneName()}`],
    ["Order", decision.order_id],
    ["Asked by", decision.caller],
    ["Model", decision.model_name],
    ["State sequence", decision.state_sequence === null ? "not on record" : String(decision.state_sequence)],
    ["Record", String(decision.sequence)],
    ["Hash", decision.hash],
  ];
  return make("dl", { class: "facts" }, ...rows.filter(([, value]) => value)
    .map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
}

function list(reasons) {
  if (reasons.length === 0) return make("p", { class: "quiet" }, "None: nothing spoke against it.");
  return make("ul", {}, ...reasons.map((reason) => make("li", {}, reason)));
}

function probabilities(decision) {
  const row = (name, weight, probs, fault) => make("tr", {}, make("th", { scope: "row" }, name),
    make("td", { class: "number" }, weight),
    ...["SELL", "HOLD", "BUY"].map((action) => make("td", { class: "number" }, probs ? share(probs[action]) : fault ?? "\u2013")));
  return make("table", { class: "rows" },
    make("thead", {}, make("tr", {}, ...["Model", "Weight", "SELL", "HOLD", "BUY"]
      .map((name, place) => make("th", { scope: "col", class: place ? "number" : null }, name)))),
    make("tbody", {}, ...decision.models.map((model) => row(model.name, String(model.weight), model.action_probs, model.fault)),
      row("Together", "", decision.action_probs)));
}

function checks(found) {
  if (found.length === 0) return make("p", { class: "quiet" }, "The gate was not reached.");
  return make("table", { class: "rows" },
    make("thead", {}, make("tr", {}, ...["Check", "Outcome", "Value", "Reason"].map((name) => make("th", { scope: "col" }, name)))),
    make("tbody", {}, ...found.map((check) => make("tr", { class: check.passed ? null : "failed" },
      make("th", { scope: "row" }, checkName(check.check)),
      make("td", { class: check.passed ? "pass" : "fail" }, check.exempt ? "\u25cb exempt" : check.passed ? "\u2713 pass" : "\u2717 fail"),
      make("td", {}, checkFigure(check)), make("td", {}, check.message)))));
}
