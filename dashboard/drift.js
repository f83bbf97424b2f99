// Whether the market has left what the models know, feature by feature.

import { allow, isAllowed } from "./ask.js";
import { may, post, Refusal } from "./calls.js";
import { age, byId, keepList, make, setClass, setText } from "./dom.js";
import { percent, time, words, zoneName } from "./words.js";

const STATES = { ok: ["good", "No drift"], alarm: ["bad", "Drift alarm"], not_enough_data: ["note", "Not enough data to judge"] };
let running = false;

export function renderDrift({ sections, you, now }) {
  const { check, next_run: next, enabled } = sections.drift;
  const [tone, headline] = check ? STATES[check.state] ?? ["warn", words(check.state)] : ["note", "No check yet"];
  setClass(byId("drift-state"), `headline ${tone}`);
  setText(byId("drift-state"), headline);
  renderWhen(check, enabled ? next : null, now);
  const suspects = check?.suspects ?? [];
  keepList(byId("drift-reasons"), [...effects(sections.risk), ...shareWords(check), ...otherReasons(check, suspects)],
    (reason) => reason, () => make("li"), (item, reason) => setText(item, reason));
  keepList(byId("drift-suspects"), suspects, (suspect) => `${suspect.kind} ${suspect.name}`, makeSuspect, fillSuspect);
  const lacks = may(you?.role, "trader") ? null : `Needs the role trader; this key has the role ${you?.role}.`;
  allow(byId("drift-check"), lacks);
  setText(byId("drift-note"), lacks);
}

/** How many distributions drifted, while that alone is no reason for an alarm: then it is among the reasons. */
function shareWords(check) {
  const share = check?.drifted_share ?? null;
  if (share === null || share > check.drift_threshold) return [];
  return [`The distribution of ${percent(share, { digits: 0, sign: false })} of ${check.features} features drifted; `
    + `above ${percent(check.drift_threshold, { digits: 0, sign: false })} that alone is an alarm.`];
}

/** Reasons that are not told with a suspect. */
function otherReasons(check, suspects) {
  const told = new Set(suspects.map((suspect) => `${suspect.name}: ${suspect.reason}`));
  return (check?.reasons ?? []).filter((reason) => !told.has(reason));
}

function effects(risk) {
  return risk?.drift.effect === "halve" ? ["Entries are of half size until a clean check or an acknowledgement."] : [];
}

function renderWhen(check, next, now) {
  const key = `${check?.at} ${next}`;
  const node = byId("drift-when");
  if (node.dataset.key === key) return;
  node.dataset.key = key;
  const last = check ? [`Last check ${time(check.at, now)} ${zoneName()}, `, age(check.at), ". "] : [];
  node.replaceChildren(...last, next ? `Next one due ${time(next, now)} ${zoneName()}.` : "None is scheduled.");
}

function makeSuspect(suspect) {
  return make("li", {}, make("b", {}, suspect.name), " ", make("span", { class: "times" }), make("span", { class: "reason" }));
}

function fillSuspect(item, suspect) {
  const times = suspect.score < 1000 ? `${suspect.score.toFixed(1)} times its limit` : "far beyond its limit";
  setText(item.querySelector(".times"), `${words(suspect.kind)}, ${times}`);
  setText(item.querySelector(".reason"), suspect.reason);
}

export function prepareDrift() {
  const button = byId("drift-check");
  button.addEventListener("click", async () => {
    if (!isAllowed(button) || running) return;
    running = true;
    button.setAttribute("aria-busy", "true");
    setText(byId("drift-outcome"), "A check is being made\u2026");
    setText(byId("drift-outcome"), await outcome());
    button.removeAttribute("aria-busy");
    running = false;
  });
}

async function outcome() {
  try {
    const verdict = await post("v1/drift/check");
    if (verdict.state === "running") return "The check is still running; its result will appear here.";
    const [, headline] = STATES[verdict.state] ?? ["", words(verdict.state)];
    return `Checked: ${headline.toLowerCase()}.`;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return `No check was made: ${error.message}`;
  }
}
