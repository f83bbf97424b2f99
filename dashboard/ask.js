// One dialog that asks before something is done: what, why, and what the service said to it.

import { Refusal } from "./calls.js";
import { byId, make, setText, show } from "./dom.js";

let asked = null;

/**
 * @param title what is to be done
 * @param explain what follows from it
 * @param choice {legend, options: [{value, text}]}, or none
 * @param label of the field for words
 * @param required whether the words are, for a choice
 * @param send is given (words, choice); what it refuses is shown
 * @param done what is announced afterwards, given what came back
 */
export function ask(question) {
  asked = question;
  setText(byId("ask-title"), question.title);
  setText(byId("ask-explain"), question.explain);
  setText(byId("ask-label"), question.label);
  setText(byId("ask-send"), question.button);
  setText(byId("ask-refusal"), "");
  byId("ask-send").className = question.danger ? "danger" : "main";
  fillChoice(question.choice);
  const reason = byId("ask-reason");
  reason.value = "";
  requireReason();
  byId("ask").showModal();
  reason.focus();
}

function fillChoice(choice) {
  show(byId("ask-choice"), Boolean(choice));
  setText(byId("ask-legend"), choice?.legend);
  byId("ask-options").replaceChildren(...(choice?.options ?? []).map((option, place) => {
    const input = make("input", { type: "radio", name: "ask-option", value: option.value, id: `ask-option-${place}` });
    input.checked = place === 0;
    input.addEventListener("change", requireReason);
    return make("label", { for: input.id }, input, ` ${option.text}`);
  }));
}

function chosen() {
  return byId("ask-options").querySelector("input:checked")?.value;
}

function requireReason() {
  byId("ask-reason").required = asked.required(chosen());
}

export function prepareAsk(announce) {
  const dialog = byId("ask");
  byId("ask-cancel").addEventListener("click", () => dialog.close());
  byId("ask-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = byId("ask-send");
    if (button.getAttribute("aria-busy") === "true") return;
    button.setAttribute("aria-busy", "true");
    setText(byId("ask-refusal"), "");
    try {
      const answer = await asked.send(byId("ask-reason").value.trim(), chosen());
      dialog.close();
      announce(asked.done(answer));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      setText(byId("ask-refusal"), error.message);
    } finally {
      button.removeAttribute("aria-busy");
    }
  });
}

/** Whether a button can be used: it stays reachable, and says why not. */
export function allow(button, why) {
  if (why) button.setAttribute("aria-disabled", "true");
  else button.removeAttribute("aria-disabled");
  button.title = why ?? "";
}

export function isAllowed(button) {
  return button.getAttribute("aria-disabled") !== "true";
}
