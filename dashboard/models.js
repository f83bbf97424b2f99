// The models that decide.

import { byId, keepList, make, setClass, setText } from "./dom.js";
import { share, words } from "./words.js";

export function renderModels({ sections }) {
  const { models, strategy } = sections.models;
  setText(byId("models-caption"), `${words(strategy)}. Latency is that of the worker that this page is connected to.`);
  keepList(byId("models-rows"), models, (model) => `${model.name} ${model.version}`, makeRow, (row, model) => {
    const [, version, weight, state, half, most] = row.cells;
    setText(version, model.version);
    setText(weight, `${model.weight} (${share(model.share)})`);
    setText(state, model.state === "shadow" ? "\u25cb shadow, no vote" : "\u25cf voting");
    setClass(state, model.state);
    setText(half, milliseconds(model.latency.p50_ms));
    setText(most, milliseconds(model.latency.p99_ms));
  });
}

function makeRow(model) {
  return make("tr", {}, make("th", { scope: "row" }, model.name), make("td", { class: "code" }),
    make("td", { class: "number" }), make("td"), make("td", { class: "number" }), make("td", { class: "number" }));
}

function milliseconds(value) {
  return value === null || value === undefined ? "\u2013" : `${value.toFixed(3)} ms`;
}
