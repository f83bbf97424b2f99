"""How the pages of a replay look, and the few lines of script that draw and sort."""

from typing import Final

__all__ = ["SCRIPT", "STYLE"]

STYLE: Final = """
*{box-sizing:border-box}
body{margin:0;background:#f4f6f8;color:#1c2530;font:16px/1.5 system-ui,-apple-system,"Segoe UI",
Roboto,"Helvetica Neue",sans-serif}
main{max-width:1280px;margin:0 auto;padding:1.5rem}
header,section{background:#fff;padding:.8rem 1.5rem 1.2rem;margin-bottom:1rem}
header{border-left:8px solid #1f5a92}
header p{margin:0;color:#52606f}
h1{margin:.1rem 0 .8rem;font-size:1.8rem;line-height:1.2;overflow-wrap:anywhere}
h2{font-size:1.1rem;margin:.3rem 0 .6rem}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(7.4rem,1fr));gap:.6rem}
.figures div{background:#f4f6f8;padding:.5rem .8rem;border-radius:4px}
.figures span{display:block;color:#52606f;font-size:.82rem}
.figures b{font-size:1.3rem;font-variant-numeric:tabular-nums;white-space:nowrap}
.figures small{display:block;color:#52606f;font-size:.8rem}
.gain{color:#2f855a}.loss{color:#c2410c}
.pair{display:grid;grid-template-columns:3fr 2fr;gap:1rem}
@media(max-width:900px){.pair{grid-template-columns:1fr}}
.scroll{max-height:32rem;overflow:auto}
table{border-collapse:collapse;width:100%;font-size:.9rem}
th{text-align:left;font-weight:600;color:#52606f;position:sticky;top:0;background:#fff;
white-space:nowrap}
th button{all:unset;cursor:pointer}
th button:hover,th button:focus-visible{text-decoration:underline}
th[aria-sort=ascending] button::after{content:" \\25b2"}
th[aria-sort=descending] button::after{content:" \\25bc"}
th,td{padding:.3rem .9rem .3rem 0;border-bottom:1px solid #e6eaee;vertical-align:top}
.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1.5rem;margin:0}
dt{color:#52606f}dd{margin:0;overflow-wrap:anywhere;font-variant-numeric:tabular-nums}
.note{color:#52606f;font-size:.88rem;max-width:70rem;margin:.5rem 0 0}
code{font-size:.92em;background:#eef1f4;padding:.1rem .3rem;border-radius:3px}
summary{cursor:pointer;font-weight:600;padding:.3rem 0}
a{color:#1f5a92}
"""

SCRIPT: Final = """
"use strict";
for (const told of document.querySelectorAll("script[type='application/json']")) {
  const figure = JSON.parse(told.textContent);
  Plotly.newPlot(told.dataset.plot, figure.data, figure.layout, {
    displaylogo: false, responsive: true,
    modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d"],
  });
}
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const head = button.parentElement, table = head.closest("table"), body = table.tBodies[0];
    const order = head.getAttribute("aria-sort") === "descending" ? "ascending" : "descending";
    for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1, column = head.cellIndex;
    const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
    const by = (a, b) => (isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b);
    body.append(...[...body.rows].sort((a, b) => sign * by(key(a), key(b))));
  });
}
"""
