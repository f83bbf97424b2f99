"""What a run found, as a page: latencies by server, throughput by clients, the verdicts."""

from __future__ import annotations

from html import escape
from typing import Any, Final

from benchmarks.serving.cases import SINGLES, Case
from benchmarks.serving.run import Findings
from benchmarks.serving.servers import TITLES
from benchmarks.serving.verdicts import Verdict, verdicts
from simulation.report_figures import BLUE, GREEN, GREY, RED, Figure, axis, plain_layout
from simulation.report_page import page, plot
from simulation.report_tables import number, table, text

__all__ = ["report_page"]

_COLOURS: Final = {"sqlite": BLUE, "redis": GREEN, "fastapi": RED, "bare": GREY}
_PERCENTILES: Final = {"p50": "p50", "p90": "p90", "p99": "p99", "p999": "p99.9"}
_LEGEND: Final[dict[str, Any]] = {"showlegend": True, "legend": {"orientation": "h", "y": 1.12}}


def report_page(findings: Findings) -> str:
    """HTML that is complete in itself."""
    cases = _singles(findings)
    names = [f"latency{number}" for number in range(len(cases))]
    figures = {
        name: latency_figure(findings, case) for name, case in zip(names, cases, strict=True)
    }
    kinds = [kind for kind in SINGLES if sum(case.kind == kind for case in cases) > 1]
    figures |= {f"throughput-{kind}": throughput_figure(findings, kind) for kind in kinds}
    parts = [
        f"<header><h1>Serving, measured</h1><p>{_machine(findings)}</p></header>",
        _section("What is to be reached", _verdict_table(verdicts(findings))),
        *(
            _section(f"Latency: {case.name}", plot(name))
            for name, case in zip(names, cases, strict=True)
        ),
        *(_section(f"Throughput: {kind}", plot(f"throughput-{kind}")) for kind in kinds),
    ]
    return page("Serving, measured", "".join(parts), figures)


def latency_figure(findings: Findings, case: Case) -> Figure:
    """Percentiles in milliseconds, a colour per server; a log axis, so points and not bars."""
    traces = []
    for server, title in TITLES.items():
        found = findings.results.median(case, server)
        if found is not None:
            told = [getattr(found, field) for field in _PERCENTILES]
            traces.append(_trace(server, list(_PERCENTILES.values()), told, title))
    layout = plain_layout(320, xaxis=axis(type="category"), yaxis=axis("ms", type="log"))
    return {"data": traces, "layout": {**layout, **_LEGEND}}


def throughput_figure(findings: Findings, kind: str) -> Figure:
    """Requests a second over the number of clients."""
    clients = [case.clients for case in _singles(findings) if case.kind == kind]
    traces = []
    for server, title in TITLES.items():
        found = [findings.results.median(Case(kind, each), server) for each in clients]
        speeds = [each and each.per_second for each in found]
        if any(speeds):
            words = [str(each) for each in clients]
            traces.append(_trace(server, words, speeds, title))
    layout = plain_layout(
        320,
        xaxis=axis("clients", type="category"),
        yaxis=axis("requests/s", rangemode="tozero"),
    )
    return {"data": traces, "layout": {**layout, **_LEGEND}}


def _trace(server: str, x: list[str], y: list[Any], title: str) -> dict[str, Any]:
    colour = {"color": _COLOURS[server]}
    return {"type": "scatter", "mode": "lines+markers", "name": title, "x": x, "y": y,
            "marker": {**colour, "size": 8}, "line": colour}  # fmt: skip


def _singles(findings: Findings) -> list[Case]:
    asked = dict.fromkeys(case for case, _ in findings.results.keys)
    return [case for case in asked if case.kind in SINGLES and not case.beside]


def _machine(findings: Findings) -> str:
    return escape("; ".join(f"{name}: {value}" for name, value in findings.machine.items()))


def _section(title: str, part: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{part}</section>"


def _verdict_table(rows: list[Verdict]) -> str:
    return table(
        ("Target", "Measured", "Must be", "Unit", "Verdict", "From"),
        [
            (
                text(row.what),
                number(row.measured, ",.3f"),
                text(f"{'at most' if row.most else 'at least'} {row.target:,g}"),
                text({"x": "ratio"}.get(row.unit, row.unit)),
                text(row.word),
                text(row.from_what),
            )
            for row in rows
        ],
    )
