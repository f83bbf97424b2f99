// The key: asked for once, kept for this tab, sent in a header and never in an address.

import { byId, setText, show } from "./dom.js";

const NAME = "usdcop-key";

export function authorization() {
  const key = sessionStorage.getItem(NAME);
  return key === null ? {} : { Authorization: `Bearer ${key}` };
}

export function hasKey() {
  return sessionStorage.getItem(NAME) !== null;
}

/**
 * The form that asks for it.
 * @param opened is called when there is a new key to try
 * @param forgotten is called when there is none any more
 */
export function keyForm(opened, forgotten) {
  const field = byId("key-field");
  byId("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    sessionStorage.setItem(NAME, field.value.trim());
    field.value = "";
    setText(byId("key-fault"), "");
    opened();
  });
  byId("forget").addEventListener("click", () => {
    sessionStorage.removeItem(NAME);
    forgotten();
    askForKey("");
  });
}

export function askForKey(fault) {
  show(byId("key"), true);
  show(byId("desk"), false);
  show(byId("forget"), false);
  setText(byId("key-fault"), fault);
  byId("key-field").focus();
}

export function keyAccepted() {
  show(byId("key"), false);
  show(byId("desk"), true);
  show(byId("forget"), hasKey());
}

/** A key that the service does not know is not kept. */
export function dropKey() {
  sessionStorage.removeItem(NAME);
}
