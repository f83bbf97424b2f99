// How the service stands, part by part, and the banner when it does not stand well.

import { byId, keepList, make, setClass, setText, show } from "./dom.js";
import { words } from "./words.js";

const WORDS = { healthy: "\u2713 healthy", degraded: "! degraded", unhealthy: "\u2717 unhealthy" };

export function renderHealth({ sections }) {
  const { status, components } = sections.health;
  const parts = Object.entries(components);
  keepList(byId("health-parts"), parts, ([name]) => name,
    ([name]) => make("li", {}, make("b", {}, words(name)), " ", make("span", { class: "state" }), make("span", { class: "why" })),
    (item, [, part]) => {
      setClass(item, part.status);
      setText(item.querySelector(".state"), WORDS[part.status] ?? part.status);
      setText(item.querySelector(".why"), part.reason ?? moreWords(part));
    });
  const banner = byId("sick");
  const sick = parts.filter(([, part]) => part.status !== "healthy");
  setClass(banner, `banner ${status === "unhealthy" ? "bad" : "warn"}`);
  setText(banner, sick.length === 0 ? "" : `Service ${status}: `
    + sick.map(([name, part]) => `${words(name)}: ${part.reason ?? part.status}`).join(" \u00b7 ")
    + (status === "unhealthy" ? ". Decisions are HOLD until it is put right." : ""));
  show(banner, sick.length > 0);
}

function moreWords(part) {
  const told = [
    part.backend && `on ${part.backend}`,
    part.sequence !== undefined && `${part.sequence.toLocaleString("en-US")} records`,
    part.loaded !== undefined && `${part.loaded} loaded`,
    part.bars !== undefined && `${part.bars.toLocaleString("en-US")} bars`,
    part.not_ready,
  ];
  return told.filter(Boolean).join(", ");
}
