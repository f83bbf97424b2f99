// The newest decision, readable from across the desk.

import { age, byId, make, setClass, setText } from "./dom.js";
import { dollars, localised, markOf, percent, share, signalWords, time, words, zoneName } from "./words.js";

const ACTIONS = ["BUY", "HOLD", "SELL"];

export function renderSignal({ sections, about, now }) {
  const decision = sections.decisions.newest;
  if (decision === null) return;
  const big = byId("signal-big");
  const [tone, verdict] = verdictOf(decision, sections.risk, now);
  setClass(big, `big ${decision.approved && tone !== "good" ? "past" : decision.signal.toLowerCase()}`);
  if (big.dataset.signal !== decision.signal) {
    big.dataset.signal = decision.signal;
    big.replaceChildren(make("span", { class: "mark", "aria-hidden": "true" }, markOf(decision.signal)), decision.signal);
  }
  setClass(byId("signal-verdict"), `verdict ${tone}`);
  setText(byId("signal-verdict"), verdict);
  setText(byId("signal-why"), localised(decision.reasons.filter((reason) => reason !== "the models say HOLD").join(" \u00b7 "), now));
  renderWhen(decision, about, now);
  renderProbabilities(decision);
  const alone = decision.models.length === 1 ? "" : ` of ${decision.models.length} models`;
  setText(byId("signal-models"), `Models said ${signalWords(decision.raw_signal)}, ${share(decision.confidence)} sure \u00b7 `
    + `${words(decision.model_name)}${decision.model_name === "ensemble" ? alone : ""}`
    + ` \u00b7 asked by ${decision.caller}${decision.order_id ? ` \u00b7 order ${decision.order_id}` : ""}`);
}

/** A tone, and in words what the signal is good for now. */
function verdictOf(decision, risk, now) {
  if (decision.approved) {
    const size = decision.position_recommendation;
    const until = `${time(decision.valid_until, now)} ${zoneName()}`;
    if (Date.parse(decision.valid_until) < now) return ["past", `Was approved; no longer valid since ${until}`];
    const stopped = stoppedBy(decision, risk);
    if (stopped) return ["bad", `Was approved; ${stopped} now`];
    const kind = decision.reduces ? "Exit" : decision.probe ? "Probe" : "Entry";
    return ["good", `${kind} approved: ${percent(size.position_size_percent, { sign: false })} of capital, `
      + `${dollars(size.position_size_usd, { sign: false })}, until ${until}`];
  }
  if (decision.risk_status === "NOT_CHECKED") return ["note", "Raw signal, not checked: never approved"];
  if (decision.risk_status === "DRY_RUN") return ["note", "Dry run: would be approved"];
  if (decision.risk_status === "HOLD_SIGNAL") return ["note", "The models say HOLD"];
  if (decision.raw_signal === decision.signal) return ["bad", words(decision.risk_status)];
  return ["bad", `${signalWords(decision.raw_signal)} refused: ${words(decision.risk_status)}`];
}

/** What has stopped an approved decision after it was made; an operator or the breaker may. */
function stoppedBy(decision, risk) {
  if (risk?.operator.mode === "HALTED") return "trading is halted";
  if (decision.reduces) return null;
  if (risk?.operator.mode === "REDUCING") return "only exits pass";
  return risk?.breaker.state === "OPEN" ? "the breaker is open" : null;
}

function renderWhen(decision, about, now) {
  const node = byId("signal-when");
  const old = now - Date.parse(decision.timestamp) > about.max_data_age_seconds * 1000;
  setClass(node, old ? "when old" : "when quiet");
  if (node.dataset.at === decision.timestamp) return;
  node.dataset.at = decision.timestamp;
  node.replaceChildren(
    `Decided ${time(decision.timestamp, now)} ${zoneName()}, `, age(decision.timestamp),
  );
}

function renderProbabilities(decision) {
  const body = byId("signal-probabilities").tBodies[0];
  if (body.rows.length === 0) {
    body.append(...ACTIONS.map((action) => make("tr", { class: action.toLowerCase() },
      make("th", { scope: "row" }, signalWords(action)),
      make("td", { class: "bar" }, make("span", { class: "fill" })),
      make("td", { class: "number" }))));
  }
  ACTIONS.forEach((action, place) => {
    const probability = decision.action_probs[action];
    const row = body.rows[place];
    row.classList.toggle("chosen", action === decision.raw_signal);
    row.querySelector(".fill").style.width = `${probability * 100}%`;
    setText(row.cells[2], share(probability));
  });
}
